"""A recipe in; a script out that trains it with verl, and what verl's processes then ask of us.

Open overrides.py first: it says what verl is told; able.py what it cannot do. launching.py writes; dataset.py,
reward.py and agent_loop.py are what verl then asks, engine.py is what trains. checkpoint.py and imported.py are the way
back.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
