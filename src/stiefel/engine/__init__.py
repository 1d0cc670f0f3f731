"""A policy in training in, a vLLM that plays it out, and how much of its update that is.

Open playing.py first; factors.py and weights.py are the two forms in which the policy is sent, survival.py measures.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
