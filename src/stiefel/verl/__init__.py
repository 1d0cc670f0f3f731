"""A recipe in; a script out that trains it with verl, and what verl's processes then ask of us.

Open installed.py first.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
