"""The commands as functions do what the commands do, and refuse what they refuse."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import trl

import stiefel
from stiefel.artifacts import read_json, read_jsonl
from stiefel.cli import cli

TINY = {
    "optim": {"rollouts": 1},
    "rollout": {"prompts": 2, "completions": 2, "max_completion_tokens": 16},
    "run": {"threads": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 3},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("functions") / "run"
    rows: list[dict[str, object]] = []
    assert stiefel.train(TINY, out, changes={"optim.lr": 2e-3, "adapter.method": "lora"}, on_row=rows.append) == out
    assert [row["step"] for row in rows] == [1]
    return out


def test_a_run_is_trained_with_changes_and_measured_again(trained: Path, tmp_path: Path) -> None:
    assert read_jsonl(trained / "metrics.jsonl")[0]["learning_rate"] == 2e-3
    assert "lora on nano" in (trained / "adapter" / "README.md").read_text()
    found = stiefel.evaluate("nano", "nano-sort", tmp_path / "eval", adapter=trained, limit=3, max_tokens=16)
    assert found == read_json(tmp_path / "eval" / "eval.json")
    assert "avg@1" in found["scores"]


def test_a_grid_gives_its_table(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text('[axes]\n"adapter.method" = ["lora"]\n')
    changes = {
        f"{section}.{key}": value
        for section, table in TINY.items()
        for key, value in table.items()
        if section != "eval"
    }
    out = stiefel.compare(tmp_path / "grid.toml", tmp_path / "grid", changes=changes)
    assert (out / "table.json").is_file()
    assert (out / "report.html").is_file()


def test_a_grid_whose_runs_fail_says_which_and_has_the_others_in_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flawed_rewards.py").write_text(
        "import multiprocessing\n"
        "def good(completion, answer):\n    return float(completion == answer)\n"
        "def bad(completion, answer):\n"
        "    if multiprocessing.parent_process():\n        raise ValueError('no more')\n    return 0.5\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rows = [{"prompt": f"{n}+{n}?", "answer": f">{2 * n}"} for n in range(11, 21)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"task.data": str(tmp_path / "rows.jsonl"), "task.name": "sums"}
    changes |= {f"{section}.{key}": value for section, table in TINY.items() for key, value in table.items()}
    axis = '"task.reward" = ["flawed_rewards:bad", "flawed_rewards:good"]'
    (tmp_path / "grid.toml").write_text(f"[axes]\n{axis}\n")
    out = tmp_path / "grid"
    with pytest.raises(stiefel.UserError, match="1 of 2 runs failed: flawed_rewards_bad") as error:
        stiefel.compare(tmp_path / "grid.toml", out, changes=changes)
    assert "ValueError: no more" in error.value.why
    assert (out / "report.html").is_file()
    assert len(read_json(out / "table.json")) == 1


def test_a_preflight_measures_the_first_step() -> None:
    found = stiefel.preflight(TINY, ["lora"], changes={"rollout.completions": 8, "rollout.max_completion_tokens": 48})
    assert [one.method for one in found.methods] == ["lora"]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda out: stiefel.train(TINY, out, changes={"optim.lrr": 1}), "optim.lrr"),
        (lambda out: stiefel.train(TINY, out, changes={"adapter.method": "rlop"}), "rlop"),
        (lambda out: stiefel.train("nowhere.toml", out), "nowhere.toml"),
        (lambda out: stiefel.train(TINY, out, resume=True), "nothing to resume"),
        (lambda out: stiefel.train(TINY, out, resume=True, force=True), "both given"),
        (lambda out: stiefel.evaluate("nano", "gsm8", out), "gsm8"),
        (lambda out: stiefel.evaluate("nano", "nano-sort", out, adapter="nowhere"), "nowhere"),
        (lambda out: stiefel.evaluate("nano", "lm-eval:gsm8k", out), "lm-eval"),
        (lambda out: stiefel.compare("nowhere.toml", out), "nowhere.toml"),
        (lambda out: stiefel.preflight(TINY, ["rlop"]), "rlop"),
        (lambda out: stiefel.preflight(TINY, "rlop"), "unknown method 'rlop'"),
        (lambda out: stiefel.preflight(TINY, "lora, rlop"), "unknown method 'rlop'"),
        (lambda out: stiefel.preflight(TINY, "lora,"), "commas stand between methods"),
        (lambda out: stiefel.train(TINY, out, changes=["optim.lr=1e-3"]), "a mapping of keys to values"),
        (lambda out: stiefel.compare("grid.toml", out, changes="optim.lr=1e-3"), "a mapping of keys to values"),
        (lambda out: stiefel.preflight(TINY, changes=["optim.lr=1e-3"]), "a mapping of keys to values"),
    ],
)
def test_a_mistake_is_the_commands_own_error_and_leaves_nothing(call, what, tmp_path: Path) -> None:
    with pytest.raises(stiefel.UserError, match=what):
        call(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_the_packages() -> None:
    assert stiefel.__version__ == version("stiefel")


def test_no_function_hides_a_module() -> None:
    rooms = {path.stem for path in Path(stiefel.__file__).parent.iterdir() if not path.name.startswith("__")}
    assert not rooms & set(stiefel.__all__)


def test_the_trainer_shows_its_own_parameters_and_takes_trls_in_trls_order() -> None:
    named, theirs = (list(inspect.signature(one).parameters) for one in (stiefel.GRPOTrainer, trl.GRPOTrainer))
    shown = named.index("optimizers") + 1
    assert named[:shown] == theirs[:shown], "what is given by place means the same"
    assert inspect.signature(stiefel.GRPOTrainer).parameters["kl_cap"].default == 0.0
    ours = set(named[shown:]) - {"settings"}
    assert ours >= {"kl_cap", "kl_cap_rows", "kl_cap_total", "kl_every", "max_gen_batches", "reference", "sync"}
    listed = re.findall(r"^\| `(\w+)=", (Path(__file__).parents[2] / "docs" / "trl.md").read_text(), re.MULTILINE)
    assert set(listed) == ours, "docs/trl.md lists them all"


def test_an_evaluation_shows_what_the_command_takes_and_refuses_a_slip() -> None:
    named = set(inspect.signature(stiefel.evaluate).parameters)
    options = {option.name for option in cli.commands["eval"].params}
    other = {"show", "as_json", "strict", "ks", "against"}  # of what is printed
    other |= {"chat_template_option", "turn_end"}  # a plural here
    assert options - named - other == set()
    with pytest.raises(TypeError, match="limti"):
        stiefel.evaluate("nano", "nano-arithmetic", "nowhere", limti=3)


def test_import_is_cheap() -> None:
    probe = (
        "import stiefel, sys; print([name for name in ('torch', 'pydantic', 'numpy', 'click') if name in sys.modules])"
    )
    seconds = []
    for _ in range(5):  # the fastest: other work runs beside it
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - began)
        assert done.stdout.strip() == "[]"
    assert min(seconds) < 0.3  # Python's own start in it
