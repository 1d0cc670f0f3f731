"""A table or figure of a paper by its name in; its runs, and its numbers beside ours, out.

Open reproduce.py first; catalogue.toml lists every name, numbers.py pairs what was published with what was measured.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
