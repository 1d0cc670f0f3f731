from .comparison import compare as compare
from .slurm import places as places
from .slurm import write_array as write_array
