"""A run keeps what the model wrote in its rollouts, whatever it measures, and a resumed one keeps the same bytes."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import read_json, read_jsonl
from stiefel.errors import UserError
from stiefel.model import load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.report import write_report
from stiefel.report.answers import answers
from stiefel.report.runs import read_run
from stiefel.run import Diverged, read_samples
from stiefel.run.run import train

PROMPTS, COMPLETIONS = 2, 4


def recipe_of(tmp_path: Path, rollouts: int = 3, **tables: Any) -> Any:
    """A short run on rows of one's own."""
    rows = [{"prompt": f"{n}+{n}?", "answer": str(2 * n)} for n in range(11, 17)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    base: dict[str, Any] = {
        "task": {"name": "mine", "data": str(tmp_path / "rows.jsonl"), "reward": "math"},
        "optim": {"rollouts": rollouts, "updates_per_rollout": 2, "lr": 1e-3},
        "rollout": {"prompts": PROMPTS, "completions": COMPLETIONS, "max_completion_tokens": 12},
        "run": {"threads": 1, "save_every": 1},
    }
    return make_recipe({name: {**base.get(name, {}), **tables.get(name, {})} for name in base.keys() | tables.keys()})


def phases(out: Path) -> list[str]:
    """When the rows of samples.jsonl were written, in their order, without repetitions."""
    return list(dict.fromkeys(row["when"] for row in read_jsonl(out / "samples.jsonl")))


def test_a_run_on_ones_own_data_that_measures_nothing_keeps_its_rollouts(tmp_path: Path) -> None:
    """The first and the last by default, whole, each row as an evaluation's; eval.json stays what it is."""
    train(recipe_of(tmp_path), tmp_path / "run")
    assert phases(tmp_path / "run") == ["training 1", "training 3"]
    rows, metrics = (read_jsonl(tmp_path / "run" / name) for name in ("samples.jsonl", "metrics.jsonl"))
    assert read_json(tmp_path / "run" / "eval.json") == {}
    for rollout in (1, 3):
        written = [row for row in rows if row["when"] == f"training {rollout}"]
        places = [(question, sample) for question in range(PROMPTS) for sample in range(COMPLETIONS)]
        assert [(row["question"], row["sample"]) for row in written] == places
        assert len({row["prompt"] for row in written}) == PROMPTS
        (metric,) = [row for row in metrics if row["step"] == rollout]
        assert statistics.fmean(row["score"] for row in written) == pytest.approx(metric["correct"])
        assert statistics.fmean(row["tokens"] for row in written) == pytest.approx(metric["completion_length"])
        assert statistics.fmean(row["truncated"] for row in written) == pytest.approx(metric["truncated_fraction"])
        for row in written:
            assert row["task"] == "mine"
            assert int(row["answer"]) == 2 * int(row["prompt"].partition("+")[0])
            assert row["reason"]


@pytest.mark.parametrize(("every", "kept"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [1, 2, 4, 5]), (3, [1, 3, 5])])
def test_samples_every_says_which_and_the_first_and_the_last_are_always_among_them(
    every: int, kept: list[int], tmp_path: Path
) -> None:
    train(recipe_of(tmp_path, 5, run={"samples_every": every}), tmp_path / "run")
    assert phases(tmp_path / "run") == [f"training {rollout}" for rollout in kept]


def test_evaluations_stay_what_they_were(tmp_path: Path) -> None:
    """The same rows, scores and weights with and without; whoever reads evaluations is given no rollout."""
    found = {}
    for every in (0, 1):
        out = tmp_path / f"run{every}"
        measured = {"tasks": ["nano-sort"], "limit": 4, "every": 1}
        train(recipe_of(tmp_path, 2, run={"samples_every": every}, eval=measured), out)
        found[every] = read_samples(out / "samples.jsonl"), read_json(out / "eval.json")
        found[every] += ((out / "adapter" / "adapter_model.safetensors").read_bytes(),)
    assert found[0] == found[1]
    assert list(found[1][0]) == ["before", "rollout 1", "after"]
    assert phases(tmp_path / "run1") == ["before", "training 1", "rollout 1", "training 2", "after"]


def test_what_dynamic_sampling_replaces_is_kept_too(tmp_path: Path) -> None:
    sampling = {"dynamic_sampling": True, "max_gen_batches": 3}
    train(recipe_of(tmp_path, 2, algorithm=sampling, run={"samples_every": 1}), tmp_path / "run")
    metrics = read_jsonl(tmp_path / "run" / "metrics.jsonl")
    for row in metrics:
        written = [s for s in read_jsonl(tmp_path / "run" / "samples.jsonl") if s["when"] == f"training {row['step']}"]
        assert {s["question"] for s in written} == set(range(int(row["sampled_groups"])))
        assert len(written) == row["sampled_groups"] * COMPLETIONS
    assert max(row["sampled_groups"] for row in metrics) > PROMPTS  # some were replaced


def test_a_chats_prompt_is_kept_as_the_model_saw_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_tokenizer("nano")
    tokenizer.chat_template = "<bos>{% for m in messages %}{{ m.content }}{% endfor %}="
    monkeypatch.setattr("stiefel.run.loading.load_tokenizer", lambda *names: tokenizer)
    recipe = recipe_of(tmp_path, 1, task={"chat": True})
    (tmp_path / "rows.jsonl").write_text('{"prompt": "3+4", "answer": "7"}\n')
    train(recipe, tmp_path / "run")
    assert {row["prompt"] for row in read_jsonl(tmp_path / "run" / "samples.jsonl")} == {"<bos>3+4="}


class Killed(BaseException):
    """Not an error that anything catches."""


def test_resumed_it_keeps_the_same_bytes(tmp_path: Path) -> None:
    """A rollout whose completions stand there already, and whose checkpoint does not, is not kept twice."""
    recipe = recipe_of(tmp_path, 4, run={"samples_every": 2, "save_every": 2})

    def kill(row: dict[str, Any]) -> None:
        if row["step"] == step:
            raise Killed

    train(recipe, tmp_path / "whole")
    assert phases(tmp_path / "whole") == ["training 1", "training 2", "training 4"]
    for step in (1, 2, 3, 4):
        out = tmp_path / f"killed{step}"
        with pytest.raises(Killed):
            train(recipe, out, on_row=kill)
        train(recipe, out, resume=True)
        assert (out / "samples.jsonl").read_bytes() == (tmp_path / "whole" / "samples.jsonl").read_bytes(), step


def test_the_report_shows_the_first_and_the_last_rollout(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, run={"samples_every": 1})
    train(recipe, tmp_path / "run")
    found = answers(read_run(tmp_path / "run"))
    rows = read_jsonl(tmp_path / "run" / "samples.jsonl")
    assert (found.questions, found.rollouts) == ([], [1, 3])
    for place, excerpts in enumerate(found.excerpts):
        for rollout, excerpt in zip((1, 3), excerpts, strict=True):
            (row,) = [
                row
                for row in rows
                if (row["when"], row["question"], row["sample"]) == (f"training {rollout}", place, 0)
            ]
            assert (excerpt.prompt, excerpt.written.text) == (row["prompt"], row["completion"])
    page = write_report(tmp_path / "run").read_text()
    assert '<th scope="col">rollout 1</th><th scope="col">rollout 3</th>' in page
    assert all(f"<code>{excerpt.prompt}</code>" in page for row in found.excerpts for excerpt in row)


def test_the_report_shows_a_run_that_ended_early_or_was_one_rollout_long(tmp_path: Path) -> None:
    """What a model wrote before it diverged is what tells why."""
    guard = {"action": "stop", "grad_norm": 1e-9}
    with pytest.raises(Diverged):
        train(recipe_of(tmp_path, guard=guard), tmp_path / "diverged")
    train(recipe_of(tmp_path, 1), tmp_path / "short")
    for name in ("diverged", "short"):
        assert answers(read_run(tmp_path / name)).rollouts == [1]
        assert '<thead><tr><th scope="col">rollout 1</th></tr></thead>' in write_report(tmp_path / name).read_text()


def test_a_run_without_completions_has_no_section_of_them(tmp_path: Path) -> None:
    train(recipe_of(tmp_path, 1, run={"samples_every": 0}), tmp_path / "run")
    assert "Completions before and after" not in write_report(tmp_path / "run").read_text()


def test_supervised_training_has_no_rollouts_to_keep() -> None:
    with pytest.raises(UserError, match=r"run\.samples_every is set for sft"):
        make_recipe({"algorithm": {"name": "sft"}, "run": {"samples_every": 5}})
