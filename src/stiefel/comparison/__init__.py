"""A grid in, a run directory for each of its cells out, several at a time, here or on other machines.

Open comparison.py first; local.py, ray_cells.py and slurm.py are where cells run, cells.py is what one does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
