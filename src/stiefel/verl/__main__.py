"""`python -m stiefel.verl`: what a script checks before it starts verl."""

from __future__ import annotations

import sys

from ..errors import UserError
from .ready import require_ready

try:
    require_ready()
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
