from .able import HONOURED as HONOURED
from .able import REFUSED as REFUSED
from .able import SAID as SAID
from .installed import require_verl as require_verl
from .installed import trouble as trouble
from .installed import verl_version as verl_version
from .launching import launch as launch
from .launching import planned as planned
