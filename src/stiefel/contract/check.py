"""A method held to the contract of all methods and to its own claims."""

from __future__ import annotations

from collections.abc import Callable

from ..adapter import Check
from ..errors import UserError
from ..methods import Method, compose
from ..spectrum import one_thread
from .attaching import CONTRACT
from .claims import MEASURES, broken_claims

CLAIMS = ("record", *MEASURES, "a_row_norm")
BOTH_WAYS = ("record", "b_zero", "seeded", "shape_only")  # not to claim these is a claim too
NOT_CLAIMED = "not claimed"


def claimed(start: Method, claim: str) -> bool:
    """True for what the record promises, or where its silence is a promise."""
    return claim in BOTH_WAYS or bool(vars(start.claims)[claim])


def check_method(name: str, progress: Callable[[str, int, int], None] | None = None) -> list[Check]:
    """One check for each claim of the record and each line of the contract, with the first way in which it fails.

    `name` is a start of `stiefel methods`, or `module:function`, which is imported. Raises UserError for a method whose
    start is not made of factors A and B, and for whatever the method itself cannot do. Cost: seconds.
    """
    composition = compose(name)
    start = composition.start
    if start is None or composition.name != start.name:
        raise UserError(
            f"{name} is no start by itself",
            "claims are those of a function from a layer to its factors A and B",
            "--check rlpo, or --check my_module:function",
        )
    with one_thread():
        return checks_of(start, name, progress)


def checks_of(start: Method, name: str, progress: Callable[[str, int, int], None] | None) -> list[Check]:
    """Every check, of a start by itself."""
    broken: dict[str, str] = {}
    for claim, found in broken_claims(start):
        broken.setdefault(claim, found)
    checks = [
        Check(claim, claim not in broken, broken.get(claim, "holds" if claimed(start, claim) else NOT_CLAIMED))
        for claim in CLAIMS
    ]
    for number, (line, measure) in enumerate(CONTRACT.items(), start=1):
        if progress is not None:
            progress(line, number, len(CONTRACT))
        found = next(measure(name), "")
        checks.append(Check(line, not found, found or "holds"))
    return checks
