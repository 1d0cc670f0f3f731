"""A method's factors in, an adapter out: in memory, on disk, certified, verified and exported.

Open attached.py first, for a model in memory, or streamed.py, for one on disk; anchored.py is W + s(BA − B₀A₀).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
