"""The guard: what is noticed when a run goes wrong, and what is done about it."""

from __future__ import annotations

from typing import Any

from ..recipe import GuardSettings

MOST_RESTORES = 6  # halvings after which a smaller rate is not the answer


class Tripped(Exception):
    """A row passed a bound of the guard, in every process alike."""

    def __init__(self, step: int, reason: str) -> None:
        super().__init__(reason)
        self.step, self.reason = step, reason


class Guard:
    """Looks at every row of the metrics, which are the same in all processes; raises Tripped for one out of bounds."""

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings

    def look(self, row: dict[str, Any]) -> None:
        """Nothing where the guard is off."""
        if self._settings.action == "off":
            return
        if "not_finite" in row:
            raise Tripped(row["step"], f"{', '.join(row['not_finite'])} not finite")
        for name, key, bound in (
            ("kl_base", "kl_base", self._settings.kl_base),
            ("grad_norm", "grad_norm_max", self._settings.grad_norm),  # of any update of the rollout
        ):
            if bound and row.get(key, 0.0) > bound:
                raise Tripped(row["step"], f"{name} {row[key]:.3g} passed guard.{name} = {bound:g}")
