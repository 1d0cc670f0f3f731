"""A model with an adapter, prompts and rewards in, trained factors out: TRL's trainers, made right for adapters.

Open trainer.py first; dynamic_sampling.py is DAPO's, checkpoints.py and resuming.py make a killed run go on.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
