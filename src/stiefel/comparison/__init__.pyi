from .comparison import compare as compare
from .failed import noted as noted
from .jobs import jobs_that_fit as jobs_that_fit
from .slurm import places as places
from .slurm import write_array as write_array
