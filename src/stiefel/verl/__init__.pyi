from .checkpoint import adapter_of as adapter_of
from .checkpoint import verl_checkpoint as verl_checkpoint
from .exported import export_checkpoint as export_checkpoint
from .installed import VERL as VERL
from .installed import verl_version as verl_version
