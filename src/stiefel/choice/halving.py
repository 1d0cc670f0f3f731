"""Who goes on after a rung: Optuna's successive halving, on the rewards of halted runs.

Optuna's pruner is asynchronous: a trial that reaches a rung is compared with those that reached it before, so that the
first always goes on, whatever comes after. Our runs are halted and go on for nothing, so that a whole rung can be there
before anything is decided. Each candidate is therefore asked about in a study that all the others have gone through
first: the pruner's rule is then that of synchronous halving, the best ⌊n/factor⌋ of n and at least one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec

from ..errors import UserError

INSTALL = 'pip install "stiefel[choose]"'


def require_optuna() -> None:
    """Raise where the library is not installed; imports nothing of it."""
    if find_spec("optuna") is None:
        raise UserError(
            "Optuna is not installed", "stiefel choose drops candidates by its successive halving", f"{INSTALL}"
        )


def going_on(merits: Mapping[str, float], rollout: int, factor: int) -> list[str]:
    """The names that go on, the best first; a merit that is NaN does not, and counts for nothing.

    Of candidates that are alike, those that come first.
    """
    going = [name for name in merits if goes_on(name, merits, rollout, factor)]
    known = sum(not math.isnan(merit) for merit in merits.values())
    return sorted(going, key=lambda name: -merits[name])[: max(1, known // factor)]


def goes_on(name: str, merits: Mapping[str, float], rollout: int, factor: int) -> bool:
    """Whether the pruner leaves this candidate, the last of all to report, in its study."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=rollout, reduction_factor=factor)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    pruned = False
    for each in [*(other for other in merits if other != name), name]:
        trial = study.ask()
        trial.report(merits[each], step=rollout)
        pruned = trial.should_prune()
    return not pruned
