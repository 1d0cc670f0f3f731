"""A grid → the candidate to train with, at a share of the grid's rollouts; what was begun goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from ..alone import Alone
from ..artifacts import CHOICE, GRID, MANIFEST, RUNS, check_room, discard, read_json, room_for, write_json
from ..comparison import Book, Watch, begin, jobs_that_fit, look, may_begin, one_run, run_cells, worker_slots
from ..errors import UserError
from ..progress import States
from ..recipe import Grid, Recipe
from ..run import status
from .begun import begun, first_record, refuse_completed, refuse_renamed
from .candidates import Candidate, candidates_of, longest_of
from .halving import going_on, require_optuna
from .merit import last_rewards, merit, rewards_of
from .plan import Plan, make_plan
from .told import result

Progress = Callable[[], AbstractContextManager[Callable[[States], None]]]


def choose(
    grid: Grid,
    out: Path,
    budget: float,
    *,
    resume: bool = False,
    force: bool = False,
    jobs: int | None = None,
    say: Callable[[str], None],
    progress: Progress,
) -> dict[str, Any]:
    """Run as much of a grid as a share `budget` of its rollouts pays for, and return what `out/choice.json` holds.

    The runs lie in `out/runs/NAME`, halted where they were dropped, so that `compare` goes on with them. What can be
    refused is refused before anything is written or removed. `progress` draws the runs of a rung. A run
    that diverges or fails takes its candidate out and stops no other. Raises UserError where no candidate is left.
    """
    require_optuna()
    candidates = candidates_of(grid)
    plan = make_plan(candidates, budget)
    record = first_record(candidates, plan, budget)
    if resume:
        record = begun(out, record, [each.name for each in candidates])
    elif force:
        refuse_completed(out)
    look(grid, out, say)
    recorded = resume and not (out / GRID).exists() and not (out / RUNS).exists()  # killed before it had more
    found, goes_on = may_begin(grid, out, resume=resume and not recorded, force=force or recorded, kind="choice")
    refuse_renamed(grid, found, out)
    if record["status"] == "finished":
        say(f"{out} is finished")
        return record
    with Alone(out, GRID) as place, worker_slots(jobs or jobs_that_fit(grid.runs.values()), say) as slots:
        if out.is_dir() and (goes_on or force or recorded):
            place.take()
        contest = Contest(candidates, plan, out, record, slots, say, progress)
        if not goes_on:
            if out.is_dir():
                check_room(out, force=force or recorded, kind="choice")
                discard(out)
            with room_for(out):
                out.mkdir(parents=True)
            contest.keep()  # first: it makes the directory a choice's, which --resume knows
        place.take()
        begin(grid, out, goes_on=True)
        contest.hold()
    return contest.record


class Contest:
    """Candidates that are compared rung by rung. What a rung has decided is kept at once and never decided again."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        plan: Plan,
        out: Path,
        record: dict[str, Any],
        slots: list[Any],
        say: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self.candidates = {each.name: each for each in candidates}
        self.plan, self.out, self.record = plan, out, record
        self.slots, self.say, self.progress = slots, say, progress
        self.longest = longest_of(candidates)
        self.gone: dict[str, str] = record["out"]  # candidate → why it is out

    def keep(self) -> None:
        """Write what is known."""
        write_json(self.out / CHOICE, self.record)

    def hold(self) -> None:
        """All rungs, the finalists' further seeds, and the verdict."""
        standing = list(self.candidates)
        for number, place in enumerate(self.plan.places):
            if not standing:
                break
            if number < len(self.record["rungs"]):
                standing = self.record["rungs"][number]["went_on"]
            else:
                standing = self.rung(number, place, standing)
        runs = {run: each for name in standing for run, each in self.further(self.candidates[name])}
        if runs:
            self.say(f"further seeds of {', '.join(standing)}")
            self.run({run: recipe.optim.rollouts for run, recipe in runs.items()}, runs)
            self.leave_out(name for name in standing if not self.all_ended(self.candidates[name]))
        self.record |= result(self.candidates, self.plan, self.out, self.record)
        self.record["status"] = "finished"
        self.keep()

    def rung(self, number: int, place: int, standing: Sequence[str]) -> list[str]:
        """Let the standing candidates come to a rung, and say who goes on."""
        there = {name: self.candidates[name].by(place, self.longest) for name in standing}
        self.say(f"rung {number + 1} of {len(self.plan.places)}: {len(standing)} candidates, {place} rollouts")
        first = {self.candidates[name].first: name for name in standing}
        recipes = {run: self.candidates[name].runs[run] for run, name in first.items()}
        self.run({run: there[name] for run, name in first.items()}, recipes)
        merits = {name: self.merit_at(self.candidates[name], there[name]) for name in standing}
        self.leave_out(name for name, value in merits.items() if math.isnan(value))
        if all(math.isnan(value) for value in merits.values()) and number == 0:
            why = "; ".join(dict.fromkeys(self.gone.values()))
            raise UserError(f"no candidate of {self.out} came to the first rung", why, "mend that, then --resume")
        last = number + 1 == len(self.plan.places)
        if last:
            on = [name for name in standing if name not in self.gone]
        else:
            on = going_on(merits, place, self.plan.factor(number))
            assert len(on) <= self.plan.counts[number + 1], "the budget pays for no more"
        kept = {name: None if math.isnan(value) else value for name, value in merits.items()}
        self.record["rungs"].append({"rollouts": place, "merits": kept, "went_on": on})
        self.keep()
        return on

    def run(self, until: Mapping[str, int], recipes: Mapping[str, Recipe]) -> None:
        """Run cells to so many rollouts; of those that fail the candidate is out."""
        owners = {run: name for name, each in self.candidates.items() for run in each.runs}
        book = Book(self.out)
        watch = Watch(recipes, self.out, book, until)
        works = {run: partial(one_run, until=until[run]) for run in recipes}
        with self.progress() as on_progress:
            run_cells(self.slots, recipes, self.out, book, lambda going: on_progress(watch.look(going)), works)
        for run, error in book.failed.items():
            self.gone[owners[run]] = f"{run} failed: {error.what}: {error.why.splitlines()[0]}"
            self.say(self.gone[owners[run]])

    def merit_at(self, candidate: Candidate, place: int) -> float:
        """What it is compared by after so many rollouts; NaN where it is out."""
        if candidate.name in self.gone or status(self.out / RUNS / candidate.first) == "diverged":
            return math.nan
        return merit(last_rewards(rewards_of(self.out / RUNS / candidate.first), place, candidate.rollouts))

    def leave_out(self, names: Iterable[str]) -> None:
        """Note why candidates are out, where that is not known yet."""
        for name in names:
            if name not in self.gone:
                self.gone[name] = self.reason(self.candidates[name])
                self.say(f"{name} is out: {self.gone[name]}")

    def reason(self, candidate: Candidate) -> str:
        """Why a candidate's runs did not come as far as they were let."""
        for run in candidate.runs:
            if status(self.out / RUNS / run) == "diverged":
                return f"{run} diverged: {read_json(self.out / RUNS / run / MANIFEST)['reason']}"
        return f"a run of {candidate.name} had no reward in the rollouts that it was to be compared by"

    def further(self, candidate: Candidate) -> list[tuple[str, Recipe]]:
        """The runs of a finalist's further seeds."""
        return list(candidate.runs.items())[1 : self.plan.seeds]

    def all_ended(self, candidate: Candidate) -> bool:
        """Whether every further run of a finalist came to its end, with rewards to go by."""
        return all(
            status(self.out / RUNS / run) == "finished"
            and not math.isnan(merit(last_rewards(rewards_of(self.out / RUNS / run), length, length)))
            for run, length in ((run, recipe.optim.rollouts) for run, recipe in self.further(candidate))
        )
