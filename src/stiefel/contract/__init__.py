"""A method's name in; whether it keeps the contract of all methods, and each of its own claims, out.

Open check.py first; claims.py measures the record's promises on single matrices, attaching.py the contract on a model.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
