"""On a real model a run trains, is killed and goes on to the same bits, is foreseen, evaluated and inspected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stiefel.cli import main
from stiefel.foresight import preflight
from stiefel.recipe.recipe import make_recipe
from stiefel.run import train


@pytest.fixture(scope="module")
def run(recipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real") / "run"
    train(make_recipe(recipe()), out)
    return out


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_trains_from_the_base(run: Path) -> None:
    rows = rows_of(run)
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[0]["kl_rollout"] >= 0
    assert rows[-1]["kl_base"] > 0  # it moved
    assert json.loads((run / "manifest.json").read_text())["status"] == "finished"


def test_killed_it_goes_on_to_the_same_bits(run: Path, recipe: Any, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(row: dict[str, Any]) -> None:
        if row["step"] == 2:
            raise Killed

    with pytest.raises(Killed):
        train(make_recipe(recipe()), tmp_path / "run", on_row=kill)
    train(make_recipe(recipe()), tmp_path / "run", resume=True)
    for file in (run / "adapter").glob("*.safetensors"):
        assert (tmp_path / "run" / "adapter" / file.name).read_bytes() == file.read_bytes()
    timed = {"seconds", "tokens_per_second", "peak_memory_bytes"}
    first, again = (
        [{key: value for key, value in row.items() if key not in timed} for row in rows_of(at)]
        for at in (run, tmp_path / "run")
    )
    assert first == again


def test_a_first_step_is_foreseen(recipe: Any) -> None:
    found = preflight(make_recipe(recipe()), methods=["lora", "rlpo"])
    assert len(found.methods) == 2


def test_the_run_is_evaluated_inspected_verified_and_reported(
    run: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "gsm8k.jsonl"
    questions.write_text(json.dumps({"question": "What is 2 + 3?", "answer": "2 + 3 = 5\n#### 5"}) + "\n")
    asked = ["--task", "gsm8k", "--data", str(questions), "--max-tokens", "8", "--out", str(tmp_path / "eval")]
    said = []
    for arguments in (
        ["verify", str(run), "--base", str(place)],
        ["inspect", str(run), "--base", str(place), "--json"],
        ["eval", str(place), "--adapter", str(run), *asked],
        ["report", str(run)],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        said.append(printed.out)
    assert json.loads(said[1])["summary"]["rank"] == 4
