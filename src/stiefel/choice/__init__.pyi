from .choose import choose as choose
from .words import print_choice as print_choice
