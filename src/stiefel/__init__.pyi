from .adapter import attach as attach
from .adapter import load as load
from .adapter import prepare as prepare
from .adapter import save as save
from .errors import UserError as UserError
from .geometry import inspect as inspect
from .methods import METHODS as METHODS
from .training import GRPOTrainer as GRPOTrainer
