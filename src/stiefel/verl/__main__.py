"""`python -m stiefel.verl`: what a script checks before it starts verl, and with `ended` when verl has ended."""

from __future__ import annotations

import sys

from ..errors import UserError
from .ready import require_ended, require_ready

try:
    require_ended() if sys.argv[1:] == ["ended"] else require_ready()
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
