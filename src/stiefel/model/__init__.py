"""A model on disk: a name or a directory in, its matrices one at a time and its modules without weights out.

Open weights.py first: it finds a model and loads it whole; checkpoint.py reads one matrix, targets.py chooses them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
