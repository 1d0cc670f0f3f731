from .installed import VERL as VERL
from .installed import verl_version as verl_version
