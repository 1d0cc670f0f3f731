"""While one process measures a base, the others come up for the cells that wait for it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future
from multiprocessing import Pipe
from pathlib import Path

from stiefel.comparison.failed import Book
from stiefel.comparison.local import Job, LocalCells, Slot, worker_slots
from stiefel.recipe.recipe import make_recipe


class Noting(Slot):
    """A slot that says what it was asked for, and whose jobs are done at once."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(Pipe()[1])
        self.said = said

    def give(self, job: Job, out: Path) -> None:
        self.said.append(job.name or "base")
        self.job, self.future = job, Future()
        self.future.set_result(None)

    def wake(self, threads: int) -> None:
        self.said.append(f"awake on {threads}")


def test_a_slot_without_a_cell_is_woken_while_the_base_is_measured(tmp_path: Path) -> None:
    todo = {f"seed{seed}": make_recipe({"run": {"seed": seed, "threads": 1}}) for seed in range(2)}
    said: list[str] = []
    cells = LocalCells(todo, tmp_path, [Noting(said), Noting(said)], Book(tmp_path), dict.fromkeys(todo))
    assert len(cells.unmeasured) == 1
    cells.run(lambda going: None)
    assert said == ["base", "awake on 1", "seed0", "seed1"]


def test_a_woken_process_is_there_before_its_first_job_and_goes_with_the_block() -> None:
    before = set(multiprocessing.active_children())
    with worker_slots(1, print) as (slot,):
        slot.wake(1)
        slot.wake(1)
        assert len(set(multiprocessing.active_children()) - before) == 1
        assert slot.job is None
        pool = slot.pool
        assert slot.begin(1) is pool
        assert slot.begin(2) is not pool, "another number of threads takes another process"
