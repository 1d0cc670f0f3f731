"""As many cells at once as the cores have room for, each on its own threads."""

from __future__ import annotations

import pytest

from stiefel.comparison import jobs as counted
from stiefel.comparison.jobs import crowded, jobs_that_fit
from stiefel.recipe.recipe import make_recipe


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "cores", lambda: 8)
    monkeypatch.setattr(counted.torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("threads", "jobs"), [([1], 8), ([3], 2), ([8], 1), ([16], 1), ([0], 1), ([1, 2], 4), ([1, 0], 1)]
)
def test_as_many_as_the_cores_have_room_for(threads: list[int], jobs: int) -> None:
    assert jobs_that_fit(make_recipe({"run": {"threads": number}}) for number in threads) == jobs


def test_one_on_a_gpu_which_all_would_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted.torch.cuda, "is_available", lambda: True)
    assert jobs_that_fit([make_recipe({"run": {"threads": 1}})]) == 1


def test_more_threads_than_cores_are_said() -> None:
    one, all_ = make_recipe({"run": {"threads": 3}}), make_recipe({})
    assert crowded([one], 2) == ""
    assert crowded([all_], 1) == ""
    assert crowded([one], 3).startswith("note: 3 runs at a time on 3 threads each share 8 cores")
    assert crowded([all_], 2).startswith("note: 2 runs at a time on 8 threads each")
