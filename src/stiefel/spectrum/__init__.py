"""A matrix in, the r singular triplets that a method needs out, solved once and cached.

Open triplets.py first; solver.py finds just these triplets, linalg.py all of them, cache.py keeps them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
