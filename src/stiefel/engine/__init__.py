"""An adapter directory, or a policy in training, in; a vLLM that plays it out, and how much of its update that is.

Open starting.py first, then playing.py; factors.py and weights.py are the forms in which a policy is sent, survival.py
measures what arrives.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
