"""A recipe → a run directory, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from datasets.utils.logging import disable_progress_bar

from ..alone import Alone
from ..artifacts import CHECKPOINTS, MANIFEST, MEASURED, check_room
from ..recipe import Recipe
from ..training import Row, checkpoints_in, replicas
from .attempt import Attempt
from .checks import check_names, check_run
from .directory import finished, read_events, rollouts_kept, same_recipe, status
from .guard import Tripped
from .measurements import BaseSamples, Progress
from .reaction import ended, react
from .rehearsal import rehearse_start


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    base: BaseSamples | None = None,
    progress: Progress = lambda line: None,
    on_row: Callable[[Row], None] = lambda row: None,
    shared: bool = False,
    written: Collection[str] = (),
    until: int | None = None,
) -> None:
    """Train as the recipe says and leave a run directory.

    An existing directory is refused without `resume` or `force`. With `resume` a run that is not there is begun, which
    the command refuses, a finished one is left alone, and an unfinished one goes on from its last checkpoint, or begins
    again where it has none: either ends in the bits of a run that was never interrupted. With `force` the directory is
    replaced once everything is loaded. `base` holds samples of the base model, by task, where the caller has them
    already; `shared` says that the settings are those of a whole comparison, so that a method may have no use for some,
    but for those of [adapter] in `written`. With `until` a run halts after that rollout, unfinished and with a
    checkpoint, from which it goes on to the same bits; one that has come so far is left alone. Raises Diverged, after
    noting it in the manifest, where the policy stops giving probabilities or the guard ends the run. Every process of a
    launch calls it alike.
    """
    disable_progress_bar()
    again = resume and bool(status(out))
    if again:
        recipe = same_recipe(recipe, out)
        if finished(out):
            progress(f"{out} is finished" if status(out) == "finished" else f"{out} has ended: it diverged")
            return
    elif resume:
        progress(f"{out} holds no run to go on with: beginning a new one")
    check_room(out, force=force or again, kind="run")
    check_names(recipe, shared=shared, written=written)
    check_run(recipe, out)
    rehearse_start(recipe)
    launched = replicas()
    launched.wait_for_everyone()  # all have looked before one writes
    assert until is None or recipe.algorithm.name != "sft", "supervised training has no rollouts"
    with Alone(out, MANIFEST) as place:
        if launched.is_main_process and (again or force) and out.is_dir():
            place.take()
        if again and until is not None and until < recipe.optim.rollouts and rollouts_kept(recipe, out) >= until:
            return
        events = read_events(out) if again else []
        if events and events[-1]["action"] == "stop":  # killed before it could say so in the manifest
            raise ended(recipe, out, events[-1]["reason"])
        keep = again and bool(checkpoints_in(out / CHECKPOINTS) or events or (out / MEASURED).is_dir())
        if again:
            where = (
                "from its last checkpoint" if checkpoints_in(out / CHECKPOINTS) else "with what is measured of the base"
            )
            progress(f"{out}: going on {where}" if keep else f"{out} has no checkpoint: beginning again")
        while True:
            try:
                attempt = Attempt(recipe, out, keep, base, progress, on_row, until)
                if launched.is_main_process:
                    place.take()  # of the directory that is there by now
                attempt.run()
            except Tripped as trip:
                react(recipe, out, trip, progress)
                keep = True
            else:
                return
