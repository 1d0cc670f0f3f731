"""A model, its adapter and a task in, graded samples and their scores out, in memory and as a directory.

Open run.py first, for samples in memory, or directory.py, for `stiefel eval`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
