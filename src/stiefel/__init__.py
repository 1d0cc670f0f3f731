"""Stiefel starts a LoRA on the right manifold.

Names are imported when they are first used, so that `import stiefel` is cheap; `__init__.pyi` lists them.
"""

import lazy_loader

__version__ = "0.1.0"  # of pyproject.toml too

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
