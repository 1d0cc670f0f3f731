from __future__ import annotations

import json
from pathlib import Path

import pytest

from stiefel.errors import UserError
from stiefel.report.runs import read_runs
from stiefel.report.series import Series, series_of
from stiefel.report.words import sentence

from .conftest import Maker


def test_a_directory_with_metrics_is_one_run(make: Maker) -> None:
    (run,) = read_runs(make.run("pissa", 3e-4, 7))
    assert (run.method, run.lr, run.seed, run.rank, run.finished) == ("pissa", 3e-4, 7, 8, True)
    assert run.values("reward") == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5), (6, 0.6)]
    assert run.values("kl_base") == [(1, 0.0), (6, 0.05)]
    assert len(run.samples()) == 16


def test_a_comparison_holds_its_runs(make: Maker) -> None:
    make.run("rlpo")
    make.run("lora")
    (make.root / "runs" / "killed-at-once").mkdir()
    assert [run.method for run in read_runs(make.root)] == ["lora", "rlpo"]


def test_a_model_that_trains_whole_is_as_large_as_beside_an_adapter(make: Maker) -> None:
    make.run("lora")  # 1,000 parameters and a LoRA of 64
    path = make.run("full") / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "parameters": 0, "trainable_parameters": 1000}))
    assert "nano (1,000 parameters) trained on" in sentence(read_runs(make.root))


def test_an_unfinished_run_needs_no_end(make: Maker) -> None:
    path = make.run(status="running")
    (run,) = read_runs(path)
    assert not run.finished
    assert run.scores == {}
    assert run.samples() == []
    (path / "metrics.jsonl").unlink()
    make.run("lora")
    assert [run.rows == () for run in read_runs(make.root)] == [False, True]


def test_a_run_from_a_saved_adapter_bears_the_method_of_that_adapter(make: Maker) -> None:
    path = make.run("rlpo", changes=['adapter.path="/somewhere/mine"'], path=make.root / "one")
    assert read_runs(path)[0].method == "adapter mine"
    (path / "adapter").mkdir()
    (path / "adapter" / "stiefel.json").write_text(json.dumps({"method": "pissa", "rank": 4, "alpha": 2, "layers": []}))
    (run,) = read_runs(path)
    assert (run.method, run.rank, run.alpha) == ("pissa", 4, 2)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics.jsonl", '{"step": 1, "reward": 0.5}\n{"step"', "line 2"),
        ("metrics.jsonl", '{"step": 1}\n', "no reward"),
        ("metrics.jsonl", '{"step": 1, "reward": "high"}\n', "reward"),
        ("metrics.jsonl", "", "no rollout"),
        ("manifest.json", "{}", "status"),
        ("manifest.json", "{", "not JSON"),
        ("manifest.json", None, "missing"),
        ("eval.json", '{"nano-sort": {"before": 1}}', "before"),
        ("eval.json", None, "missing"),
        ("recipe.toml", "[optim]\nrate = 1", "optim.rate"),
    ],
)
def test_a_broken_file_is_named(make: Maker, file: str, content: str | None, said: str) -> None:
    path = make.run()
    (path / file).unlink()
    if content is not None:
        (path / file).write_text(content)
    with pytest.raises(UserError) as caught:
        read_runs(make.root)
    assert said in str(caught.value)
    assert file in caught.value.what


def test_broken_samples_are_named(make: Maker) -> None:
    path = make.run()
    (path / "samples.jsonl").write_text('{"when": "later"}\n')
    with pytest.raises(UserError, match=r"samples\.jsonl"):
        read_runs(path)[0].samples()


def test_a_directory_without_runs_is_refused(tmp_path: Path, make: Maker) -> None:
    with pytest.raises(UserError, match="holds no runs"):
        read_runs(tmp_path)
    (make.root / "runs").mkdir(parents=True)
    with pytest.raises(UserError, match="has done a rollout"):
        read_runs(make.root)


def test_runs_that_differ_in_another_setting_are_not_one_series(make: Maker) -> None:
    for rank in (4, 8):
        for seed in (0, 1):
            make.run("rlpo", 1e-3, seed, changes=[f"adapter.rank={rank}"])
    assert set(series_of(read_runs(make.root)).values()) == {Series("rlpo", "rank 4"), Series("rlpo", "rank 8")}
