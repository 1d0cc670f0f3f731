"""CONTRIBUTING.md shows the files of examples/, and each of them does in Stiefel what the page says of it."""

from __future__ import annotations

import json
import re
import shlex
from functools import partial
from itertools import accumulate
from pathlib import Path

import pytest

from examples.new_engine import PlainEngine
from examples.new_figure import REWARD_SO_FAR
from examples.new_task import TEST, nano_double
from stiefel.cli import cli, main
from stiefel.errors import UserError
from stiefel.evaluation import evaluate
from stiefel.model import load_model, load_tokenizer
from stiefel.report import read_runs
from stiefel.report.evidence import read_evidence
from stiefel.report.figures import Drawing, Missing, files, write_figures
from stiefel.tasks import Sampling, find_task, registry
from tests.report.conftest import Maker

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
TINY = ("rollout.prompts=2", "rollout.completions=4", "optim.rollouts=1", "eval.limit=4", "adapter.rank=2")
GREEDY = Sampling(temperature=0.0, max_tokens=40)


def unheard(line: str) -> None:
    raise AssertionError(f"nothing is to be measured or said here: {line}")


def test_every_block_of_code_is_a_part_of_an_example() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    code = "\n".join(path.read_text() for path in (ROOT / "examples").glob("*.py"))
    assert [block for block in blocks if block not in code] == []


def test_every_file_that_it_names_is_there() -> None:
    named = re.findall(r"`((?:examples|src|tests|docs|recipes)/[\w/.-]+)`", PAGE)
    assert {f"examples/{name}.py" for name in ("own_start", "new_task", "new_engine", "new_figure")} <= set(named)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_command_that_it_shows_parses() -> None:
    lines = re.findall(r"^\$ stiefel (.*)$", PAGE, flags=re.MULTILINE)
    assert len(lines) >= 2
    for line in lines:
        verb, *words = shlex.split(line)
        assert cli.commands[verb].make_context(verb, words, **cli.context_settings).params


def test_a_task_in_the_tuple_is_trained_and_measured_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "TASKS", (*registry.TASKS, nano_double))
    recipe = ROOT / "recipes" / "nano" / "dapo.toml"
    changes = (*TINY, "task.name=nano-double", 'eval.tasks=["nano-double"]')
    sets = [part for change in changes for part in ("--set", change)]
    with pytest.raises(SystemExit) as status:
        main(["train", str(recipe), *sets, "--out", str(tmp_path / "run")])
    assert status.value.code == 0
    score = json.loads((tmp_path / "run" / "eval.json").read_text())["nano-double"]["before"]
    assert score["questions"] == 4


def test_the_tasks_test_is_nobodys_training() -> None:
    train = {row.prompt for row in nano_double.rows("train", 1000, 3)}
    test = [row.prompt for row in nano_double.rows("test", 100, 3)]
    assert test == [row.prompt for row in nano_double.rows("test", 100, 4)]
    assert len(test) == len(TEST)
    assert train.isdisjoint(test)
    assert nano_double.grader("7+7>14", "14").score == 1.0


def test_the_engine_writes_what_transformers_writes() -> None:
    model, tokenizer = load_model("nano"), load_tokenizer("nano")
    for name, limit in (("nano-arithmetic", 40), ("nano-sort", 3)):  # ends by itself, and is cut off
        task, sampling = find_task(name), Sampling(temperature=0.0, max_tokens=limit)
        ask = partial(evaluate, model, tokenizer, task, task.rows("test", 3, 0), sampling)
        ours = ask(writer=partial(PlainEngine, model, tokenizer))
        assert ours == ask()
        assert {sample.truncated for sample in ours} == {limit == 3}
    with pytest.raises(UserError, match="draws nothing"):
        PlainEngine(model, tokenizer, Sampling(temperature=1.0))


def test_the_engine_ends_at_a_text() -> None:
    model, tokenizer = load_model("nano"), load_tokenizer("nano")
    prompt = tokenizer(find_task("nano-arithmetic").rows("test", 1, 0)[0].text)["input_ids"]
    (whole,) = PlainEngine(model, tokenizer, GREEDY)([prompt], [0])
    (cut,) = PlainEngine(model, tokenizer, GREEDY, [whole.text[2]])([prompt], [0])
    assert cut.text == whole.text[: whole.text.index(whole.text[2])]
    assert not cut.truncated


def test_the_figure_is_what_the_metrics_say_and_is_written_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker(tmp_path)
    rewards = {0: [0.1, 0.3, 0.5], 1: [0.2, 0.2, 0.8]}
    for seed, values in rewards.items():
        make.run("rlpo", seed=seed, rewards=values)
    evidence = read_evidence(read_runs(tmp_path), unheard)
    drawing = REWARD_SO_FAR.draw(evidence)
    assert isinstance(drawing, Drawing)
    (panel,) = drawing.panels
    curves = [[total / n for n, total in enumerate(accumulate(values), 1)] for values in rewards.values()]
    expected = [(sum(pair) / 2, min(pair), max(pair)) for pair in zip(*curves, strict=True)]
    assert [(mark.value, mark.low, mark.high) for mark in panel.marks] == [pytest.approx(one) for one in expected]
    monkeypatch.setattr(files, "FIGURES", (REWARD_SO_FAR,))
    assert {path.name for path in write_figures(evidence, tmp_path, unheard)} == {
        "captions.md",
        "reward-so-far.png",
        "reward-so-far.pdf",
    }
    assert drawing.caption in (tmp_path / "figures" / "captions.md").read_text()


def test_the_figure_says_what_it_lacks(tmp_path: Path) -> None:
    changes = ["algorithm.name=sft", "algorithm.batch=4"]
    Maker(tmp_path).run("rlpo", rewards=[None, None], metrics={"loss": [1.0, 0.5]}, changes=changes)
    assert isinstance(REWARD_SO_FAR.draw(read_evidence(read_runs(tmp_path), unheard)), Missing)
