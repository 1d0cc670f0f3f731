"""A machine and what is installed on it in; what works, what does not and what to do about it out.

Open doctor.py first: it lists what is looked at; finding.py says what is found of each.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
