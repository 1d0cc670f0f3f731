"""Cells on the machines of a Ray cluster: started, followed, pulled back, started again where a machine is lost."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..artifacts import RUNS, SAMPLES, room_for, write_text
from ..errors import UserError
from ..recipe import Recipe
from .cells import base_path, bases_to_measure, rollouts_under_way
from .failed import Book, as_failure, base_failed, killed
from .mirror import Piece, Receiver, files_in, pieces_of
from .place import MEASURE, TRAIN
from .ray_cluster import Ask, asked, machines, require_resources, require_same
from .ray_worker import News, RayWorker
from .software import software

POLL_SECONDS = 1.0
CLOSE_SECONDS = 5.0  # for workers to leave nothing behind, if they can still hear
LOSSES = 3  # of one cell: what takes its machine down every time is no accident
WORDS_OF_A_LOSS = 200  # characters


class Cell:
    """One cell, or a base that is measured: what it needs, and the actor that runs it, if there is one."""

    def __init__(self, name: str, kind: str, recipe: Recipe, ask: Ask, run: Path, base: Path | None = None) -> None:
        self.name, self.kind, self.recipe, self.ask, self.run, self.base = name, kind, recipe, ask, run, base
        self.losses, self.step = 0, 0
        self.actor: Any = None
        self.call: Any = None  # the question that is not answered yet
        self.receiver: Receiver | None = None
        self.there = ""  # its run's path on the other machine


class RayCells:
    """Cells on a cluster, at most `jobs` of them at a time, or as many as it has room for."""

    def __init__(self, ray: Any, out: Path, jobs: int | None, say: Callable[[str], None]) -> None:
        self.ray, self.out, self.jobs, self.say = ray, out, jobs, say
        self.here = software()
        self.book = Book(out)
        self.lost: dict[Path | None, UserError] = {}  # bases that could not be measured
        self.waiting: deque[Cell] = deque()
        self.going: list[Cell] = []

    def run(self, todo: Mapping[str, Recipe], book: Book, report: Callable[[Mapping[str, int]], None]) -> None:
        """Measure the bases, then train; cells that fail are in the book, and the rest go on.

        `report` is called every second with the rollouts of the cells that go on.
        """
        self.book = book
        self.follow(self.bases(todo), lambda: report({}))
        for name, recipe in todo.items():
            if (base := base_path(recipe, self.out)) in self.lost:
                book.fail(name, base_failed(self.lost[base]))
        left = {name: recipe for name, recipe in todo.items() if name not in book.failed}
        self.follow(self.runs(left), lambda: report(self.counts()))

    def ask(self, recipe: Recipe) -> Ask:
        """What a cell asks for of a machine of this cluster."""
        return asked(recipe, gpus_there=any(has.get("GPU", 0) for has in machines(self.ray).values()))

    def bases(self, todo: Mapping[str, Recipe]) -> list[Cell]:
        """The bases that nobody has measured yet, and that no run's engine will."""
        return [
            Cell(f"the base {path.stem}", MEASURE, recipe, self.ask(recipe), path.with_name(f".{path.stem}"), path)
            for path, recipe in bases_to_measure(todo, self.out).items()
        ]

    def runs(self, todo: Mapping[str, Recipe]) -> list[Cell]:
        """The cells to train."""
        return [
            Cell(name, TRAIN, recipe, self.ask(recipe), self.out / RUNS / name, base_path(recipe, self.out))
            for name, recipe in todo.items()
        ]

    def counts(self) -> dict[str, int]:
        """The rollouts that the cells which have a machine have done."""
        return {cell.name: rollouts_under_way(cell.recipe, cell.step) for cell in self.going if cell.there}

    def follow(self, cells: list[Cell], every_second: Callable[[], None]) -> None:
        """Run these cells to their ends."""
        self.waiting.extend(cells)
        reported = time.monotonic()
        try:
            while self.waiting or self.going:
                while self.waiting and (self.jobs is None or len(self.going) < self.jobs):
                    self.start(self.waiting.popleft())
                calls = {cell.call: cell for cell in self.going}
                self.ray.wait(list(calls), timeout=POLL_SECONDS)
                for call in self.ray.wait(list(calls), num_returns=len(calls), timeout=0)[0]:
                    self.hear(calls[call])
                if time.monotonic() - reported >= POLL_SECONDS:
                    reported = time.monotonic()
                    there = machines(self.ray)
                    for cell in [cell for cell in self.going if not cell.there]:
                        self.require_machine(cell, there)
                    every_second()
        finally:
            self.give_up(self.going)
        every_second()

    def start(self, cell: Cell) -> None:
        """Ask for a worker; it answers when a machine has room."""
        if cell.kind == TRAIN and not cell.losses:
            self.book.begin(cell.name)
        worker = self.ray.remote(RayWorker).options(
            num_cpus=cell.ask.cpus, num_gpus=cell.ask.gpus, max_restarts=0, max_task_retries=0
        )
        cell.actor = worker.remote(cell.run.name.lstrip("."))
        cell.call, cell.there, cell.step = cell.actor.hello.remote(), "", 0
        self.going.append(cell)

    def hear(self, cell: Cell) -> None:
        """Take a worker's answer, and ask again."""
        try:
            answer = self.ray.get(cell.call)
            if not cell.there:
                self.begin(cell, *answer)
            elif self.take(cell, answer):
                return
        except self.ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, OSError):
                self.fail(cell, as_failure(error))
                return
            instead = "make room there, or `ray start` it with another TMPDIR"  # a full disk, or one that is not ours
            what = f"{cell.name} cannot be kept on the machine that it was given to"
            self.fail(cell, UserError(what, str(error.cause), instead))
        except UserError as error:  # other software there, or no room here
            if cell not in self.going:  # it has failed, and that could not be kept
                raise
            self.fail(cell, error)
        except self.ray.exceptions.RayError as error:  # the worker, its machine or the way to it
            self.lose(cell, " ".join(str(error).split())[:WORDS_OF_A_LOSS])
        else:
            cell.call = cell.actor.news.remote()

    def begin(self, cell: Cell, there: Mapping[str, str], path: str) -> None:
        """Send what the run has left here so far, if anything, and what it goes on with."""
        require_same(f"the machine that {cell.name} was given to", self.here, there)
        cell.there = path
        for pieces in sendings(cell.run):
            self.ray.get(cell.actor.receive.remote(pieces))
        given = cell.base if cell.kind == TRAIN else None
        base = given.read_text(encoding="utf-8") if given is not None else None
        self.ray.get(cell.actor.begin.remote(cell.kind, cell.recipe.to_toml(), base, str(Path.cwd())))
        cell.receiver = Receiver(cell.run, self.out)

    def take(self, cell: Cell, news: News) -> bool:
        """What a worker told; true where its cell has ended."""
        assert cell.receiver is not None
        for word, what in news:
            match word:
                case "words":
                    self.say(what)
                case "step":
                    cell.step = what
                case "piece":
                    with room_for(cell.run):
                        cell.receiver.add(what)
                case "whole":
                    with room_for(cell.run):
                        cell.receiver.whole(what)
                case "ended":
                    return self.end(cell, *what)
        return False

    def end(self, cell: Cell, status: int, error: list[str] | None) -> bool:
        """A cell's process has ended, and all that it left is here; true where that is for good."""
        if status < 0:
            self.lose(cell, f"its process was ended by signal {-status}: most often its machine ran out of memory")
            return True
        if error is not None:
            self.fail(cell, UserError(*(words.replace(cell.there, str(cell.run)) for words in error)))
            return True
        if status > 0:
            self.fail(cell, killed(f", or ended itself, with status {status}"))
            return True
        if cell.kind == MEASURE:
            assert cell.base is not None
            write_text(cell.base, (cell.run / SAMPLES).read_text("utf-8"))
            shutil.rmtree(cell.run)
        self.going.remove(cell)
        self.give_up([cell])
        return True

    def fail(self, cell: Cell, error: UserError) -> None:
        """A cell has failed; the cells of a base fail with it, the rest go on."""
        self.going.remove(cell)
        self.give_up([cell])
        if cell.kind == MEASURE:
            self.lost[cell.base] = error
            shutil.rmtree(cell.run, ignore_errors=True)
        else:
            self.book.fail(cell.name, error)

    def require_machine(self, cell: Cell, there: Mapping[str, Mapping[str, float]]) -> None:
        """Let a cell fail that no machine could run any more."""
        try:
            require_resources({cell.name: cell.ask}, there)
        except UserError as error:
            self.fail(cell, error)

    def lose(self, cell: Cell, why: str) -> None:
        """A worker is lost: its cell goes on elsewhere from what is here of it, before those that wait."""
        cell.losses += 1
        if cell.losses >= LOSSES:
            instead = "look at the memory of the machines; --resume goes on from its last checkpoint"
            self.fail(cell, UserError(f"{cell.name} lost its worker {LOSSES} times", why, instead))
            return
        self.say(f"{cell.name} lost its worker and goes on with another: {why}")
        self.going.remove(cell)
        self.give_up([cell])
        self.waiting.appendleft(cell)

    def give_up(self, cells: Sequence[Cell]) -> None:
        """End the workers of cells, and forget what did not arrive whole."""
        closing = [cell.actor.close.remote() for cell in cells if cell.there]
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
        for cell in cells:
            self.ray.kill(cell.actor)
            if cell.receiver is not None:
                cell.receiver.close()
                cell.receiver = None


def sendings(run: Path) -> Iterator[list[Piece]]:
    """A directory's pieces, each on its own way; nothing of one that is not there."""
    for piece in pieces_of(run, files_in(run)):
        yield [piece]
