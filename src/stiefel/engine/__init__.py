"""A model's directory and an adapter's in, a running vLLM out, or the reason why there can be none.

Open starting.py first; servable.py says which adapters it can be given, installed.py which vLLM it may be.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
