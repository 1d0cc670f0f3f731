from .adapter import attach as attach
from .adapter import load as load
from .adapter import prepare as prepare
from .adapter import save as save
from .commands import compare as compare
from .commands import evaluate as evaluate
from .commands import preflight as preflight
from .commands import train as train
from .errors import UserError as UserError
from .geometry import inspect as inspect
from .methods import METHODS as METHODS
from .methods import Claims as Claims
from .methods import Factors as Factors
from .methods import Layer as Layer
from .methods import method as method
from .training import GRPOTrainer as GRPOTrainer

__version__: str
