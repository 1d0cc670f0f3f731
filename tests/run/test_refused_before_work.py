"""What cannot be is refused before anything is sampled, and leaves nothing behind."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import stiefel
from stiefel.adapter import rehearse_attach, rehearse_load
from stiefel.comparison import compare
from stiefel.errors import UserError
from stiefel.foresight import preflight
from stiefel.methods import METHODS
from stiefel.model import load_model
from stiefel.nano import NANO_PATH
from stiefel.recipe import load_grid
from stiefel.recipe.recipe import make_recipe
from stiefel.run import begun
from stiefel.run.run import train

NUMBERS = itertools.count()
SHORT: dict[str, Any] = {
    "optim": {"rollouts": 1},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 16},
    "run": {"threads": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 2},
}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory to work in, with rows, and nobody who may sample."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    rows = [{"prompt": f"{n}+1?", "answer": str(n + 1)} for n in range(5)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(begun, "load_pair", lambda recipe: pytest.fail("a model was loaded"))


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], str]:
    """own(source): the name of a module with that source."""

    def write(source: str) -> str:
        module = f"own_code_{next(NUMBERS)}"
        (tmp_path / f"{module}.py").write_text(source)
        return module

    return write


def refusal(**tables: Any) -> str:
    """The error of a run that is refused, and leaves nothing."""
    before = sorted(Path.cwd().iterdir())
    with pytest.raises(UserError) as error:
        train(make_recipe({**SHORT, **tables}), Path("run"))
    assert [path for path in sorted(Path.cwd().iterdir()) if path.name != "__pycache__"] == before
    return str(error.value)


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        ({"method": "lora", "rank": 65}, "rank 65 is larger than"),
        ({"method": "sparse", "rank": 65}, "rank 65 is larger than"),
        ({"method": "adalora", "rank": 60}, "rank 90 is larger than"),
        ({"method": "miss", "rank": 1000}, "rank 1000 is larger than"),
        ({"targets": ["no_proj"]}, "no module is named 'no_proj'"),
        ({"targets": "q_proj["}, "is not a regular expression"),
        ({"method": "miss", "targets": ["lm_head_"]}, "no module is named"),
        ({"path": "nowhere"}, "no directory nowhere"),
    ],
)
def test_an_adapter_that_cannot_be(adapter: dict[str, Any], words: str) -> None:
    optim = {"rollouts": 20}  # AdaLoRA's schedule needs some
    assert words in refusal(adapter=adapter, optim=optim)


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_what_can_be_attached_is_not_refused(method: str) -> None:
    rehearse_attach("nano", method)
    if method != "full":
        rehearse_attach("nano", f"{method}")


def test_a_skeleton_refuses_what_the_model_does(own: Any) -> None:
    """The same words, by the same rules, for a rank of each kind of method."""
    for method, rank in (("rlpo", 65), ("pissa", 129), ("sparse", 65), ("adalora", 60), ("miss", 999)):
        with pytest.raises(UserError) as rehearsed:
            rehearse_attach("nano", method, r=rank)
        with pytest.raises(UserError) as attached:
            stiefel.attach(load_model("nano"), method, r=rank)
        assert str(rehearsed.value) == str(attached.value)


def test_an_adapter_of_another_base(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    stiefel.save(stiefel.attach(load_model("nano"), "pissa", r=4), adapter)
    rehearse_load("nano", adapter)
    other = tmp_path / "other"
    shutil.copytree(NANO_PATH, other)
    weights = load_file(other / "model.safetensors")
    name = next(key for key in weights if key.endswith("q_proj.weight"))
    weights[name] = weights[name] * 1.5
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    assert "was made for another base than" in refusal(adapter={"path": str(adapter)}, model={"path": str(other)})
    assert "in bfloat16" in refusal(adapter={"path": str(adapter)}, model={"dtype": "bfloat16"})
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "intermediate_size": config["intermediate_size"] // 2}))
    assert "was made for another base than" in refusal(adapter={"path": str(adapter)}, model={"path": str(other)})


@pytest.mark.parametrize("method", ["lora", "pissa", "ia3", "ln_tuning", "full", "vera", "lora+dora"])
def test_an_adapter_of_this_base_is_not_refused(method: str, tmp_path: Path) -> None:
    stiefel.save(stiefel.attach(load_model("nano"), method), tmp_path / "adapter")
    rehearse_load("nano", tmp_path / "adapter")


BROKEN = {
    "raises": "def score(completion, answer, **row):\n    x = {}\n    return x['n']\n",
    "raises deeper": "def inner():\n    pass\n    raise KeyError('n')\n\ndef score(c, a, **row):\n    return inner()\n",
    "takes no row": "def score(completion):\n    return 1.0\n",
    "returns nothing": "def score(completion, answer, **row):\n    pass\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_reward_that_gives_none(kind: str, own: Any) -> None:
    module = own(BROKEN[kind])
    printed = refusal(task={"data": "sums.jsonl", "reward": f"{module}:score"})
    assert f"the reward {module}:score" in printed
    if "raises" in kind:
        assert f"{module}.py, line 3" in printed
    with pytest.raises(UserError, match=f"the reward {module}:score"):
        preflight(make_recipe({**SHORT, "task": {"data": "sums.jsonl", "reward": f"{module}:score"}}))


def test_a_reward_of_a_builtin_task_is_called_too(own: Any) -> None:
    assert "line 3" in refusal(task={"name": "nano-sort", "reward": f"{own(BROKEN['raises'])}:score"})


def test_a_reward_that_another_directory_cannot_import(own: Any, tmp_path: Path, monkeypatch: Any) -> None:
    module = own("def score(completion, answer, **row):\n    return 1.0\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "grid.toml").write_text(
        f'[recipe.task]\ndata = "{tmp_path / "sums.jsonl"}"\nreward = "{module}:score"\n[axes]\n"run.seed" = [0]\n'
    )
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    with pytest.raises(UserError, match=f"{module}:score cannot be imported") as error:
        compare(load_grid(elsewhere / "grid.toml"), elsewhere / "out")
    assert f"run from the directory that holds {module}.py" in error.value.instead
    assert ".py, line" not in error.value.why  # of Python's own files
    assert not (elsewhere / "out").exists()


def test_a_start_of_ones_own_that_raises(own: Any) -> None:
    source = (
        "import stiefel\n@stiefel.method(claims=stiefel.Claims(b_zero=True))\n"
        "def start(layer: stiefel.Layer) -> stiefel.Factors:\n    '''None.'''\n    raise ValueError('no')\n"
    )
    module = own(source)
    assert f"{module}.py, line 5" in refusal(adapter={"method": f"{module}:start"})


CELLS = {
    "a rank": ('"adapter.rank" = [8, 65]', "rank65: rank 65 is larger"),
    "targets": ('"adapter.targets" = ["all-linear", ["no_proj"]]', "no module is named 'no_proj'"),
    "an adapter's path": ('"adapter.path" = ["", "nowhere"]', "nowhere: no directory nowhere"),
    "a file of rows": ('"task.data" = ["", "nowhere.jsonl"]\n"task.reward" = ["exact"]', "no data at nowhere.jsonl"),
    "a prompt's length": ('"rollout.max_prompt_tokens" = [64, 2]', "max_prompt_tokens2: a prompt of"),
    "a completion's length": ('"rollout.max_completion_tokens" = [16, 255]', "do not fit nano"),
    "a task that is measured": ('"eval.tasks" = [["nano-sort"], ["nano-srt"]]', "unknown task 'nano-srt'"),
    "a model": ('"model.path" = ["nano", "./nowhere"]', "no model at ./nowhere"),
}


@pytest.mark.parametrize("kind", CELLS)
def test_one_bad_cell_of_a_grid(kind: str, tmp_path: Path) -> None:
    axes, words = CELLS[kind]
    (tmp_path / "grid.toml").write_text(
        '[recipe.optim]\nrollouts = 1\n[recipe.eval]\ntasks = ["nano-sort"]\nlimit = 2\n[recipe.run]\nthreads = 1\n'
        f"[axes]\n{axes}\n"
    )
    with pytest.raises(UserError) as error:
        compare(load_grid(tmp_path / "grid.toml"), tmp_path / "out")
    assert words in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_preflight_refuses_a_rank_before_it_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stiefel.foresight.measure.load_pair", lambda recipe: pytest.fail("a model was loaded"))
    with pytest.raises(UserError, match="rank 65 is larger"):
        preflight(make_recipe({**SHORT, "adapter": {"rank": 65}}), ["lora", "rlpo"])
