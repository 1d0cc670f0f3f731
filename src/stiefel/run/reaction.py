"""What is done about a run that went wrong: it ends, with the reason in its manifest, or goes back to a checkpoint."""

from __future__ import annotations

from pathlib import Path

from accelerate import PartialState

from ..artifacts import CHECKPOINTS, EVENTS, METRICS, discard
from ..errors import UserError
from ..recipe import Recipe
from ..training import Row, append_row, checkpoints_in, step_of
from .directory import note, read_events
from .guard import MOST_RESTORES, Tripped
from .measurements import Progress


class Diverged(UserError):
    """A policy whose probabilities are no longer numbers, or which the guard stopped."""


def ended(recipe: Recipe, out: Path, reason: str) -> Diverged:
    """Note in the manifest that the run went wrong, and the error that says so."""
    if PartialState().is_main_process:
        note(out, "diverged", reason=reason, events=read_events(out))
    return Diverged(f"{out}: {reason}", "its weights moved beyond what can be trained on", way_out(recipe))


def way_out(recipe: Recipe) -> str:
    """What may keep another run from going wrong, beside what this one had already."""
    smaller = "a smaller optim.lr"
    bounds = " and ".join(f"guard.{key}" for key in ("kl_base", "grad_norm") if vars(recipe.guard)[key])
    larger = f", or a larger {bounds}" if bounds else ""
    if recipe.algorithm.name == "sft":  # which has no guard
        return smaller
    if recipe.guard.action == "off":
        return f"{smaller}, or a guard: guard.action = 'stop' ends a run in time, 'restore' takes it back"
    if recipe.guard.action == "stop":
        return f"{smaller}{larger}, or guard.action = 'restore', which goes back to a checkpoint at half the rate"
    return f"{smaller} from the start: halving it {MOST_RESTORES} times did not help{larger}"


def react(recipe: Recipe, out: Path, trip: Tripped, progress: Progress) -> None:
    """Note what the guard saw; raise Diverged where that is the end, return where the run goes on from a checkpoint."""
    events = read_events(out)
    stop = recipe.guard.action == "stop" or len(events) >= MOST_RESTORES
    event: Row = {"event": "guard", "step": trip.step, "reason": trip.reason, "action": "stop"}
    if not stop:
        event |= {"action": "restore", "restored_to": last_good(recipe, out, trip, events)}
    PartialState().wait_for_everyone()
    if PartialState().is_main_process:
        append_row(out / EVENTS, event)
        if stop:
            append_row(out / METRICS, event)
    PartialState().wait_for_everyone()
    if stop:
        raise ended(recipe, out, trip.reason)
    progress(f"guard, rollout {trip.step}: {trip.reason}; back to rollout {event['restored_to']} at half the rate")


def last_good(recipe: Recipe, out: Path, trip: Tripped, events: list[Row]) -> int:
    """The rollout of the newest checkpoint worth going back to, 0 for the start; newer ones are removed.

    One is not where the run went back to it last time already, nor where the rollout right after it tripped the guard,
    whose samples are its own policy's.
    """
    tried = {event["restored_to"] for event in events[-1:]} | {trip.step - 1}
    for checkpoint in reversed(checkpoints_in(out / CHECKPOINTS)):
        rollout = step_of(checkpoint) // recipe.optim.updates_per_rollout
        if rollout not in tried:
            return rollout
        if PartialState().is_main_process:
            discard(checkpoint)
    return 0
