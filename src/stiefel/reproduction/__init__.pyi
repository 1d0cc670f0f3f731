from .catalogue import Entry as Entry
from .catalogue import entries as entries
from .missing import Lack as Lack
from .missing import lacks as lacks
from .reproduce import reproduce as reproduce
from .show import as_lines as as_lines
from .work import Work as Work
from .work import find_work as find_work
