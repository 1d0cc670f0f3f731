"""A grid and a share of its rollouts in, the candidate to train with out, and how sure that is.

Open choose.py first; plan.py says how the budget is spent, halving.py who goes on, verdict.py who wins.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
