"""Every mistake gets one message (what, why, instead), exit 2, no traceback, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stiefel.cli import main
from stiefel.nano import NANO_PATH

RECIPE = "[optim]\nrollouts = 1\n[rollout]\nprompts = 2\ncompletions = 4\n[run]\nthreads = 1\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def broken_model(tmp_path: Path) -> Path:
    path = tmp_path / "broken"
    shutil.copytree(NANO_PATH, path)
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one message of a refused command."""
    with pytest.raises(SystemExit) as exit_status:
        main(list(arguments))
    printed = capsys.readouterr()
    assert exit_status.value.code == 2, printed.err
    assert printed.out == ""
    assert "Traceback" not in printed.err
    message = printed.err[printed.err.index("error: ") :]
    assert message.count("error: ") == 1
    assert "\n  why: " in message
    assert "\n  instead: " in message
    return message


def sets(*changes: str) -> tuple[str, ...]:
    """`--set` before each."""
    return tuple(word for change in changes for word in ("--set", change))


INIT = ("init", "nano", "--out", "OUT", "--method", "rlpo")
TRAIN = ("train", "RECIPE", "--out", "OUT")
LOOK = ("preflight", "RECIPE", "--out", "OUT")
MISTAKES = {
    "unknown method": ((*INIT[:4], "--method", "rplo"), "did you mean rlpo"),
    "unknown method in a recipe": ((*TRAIN, "--set", "adapter.method=pisa"), "did you mean pissa"),
    "unknown task": ((*TRAIN, "--set", "task.name=nano-arithmetics"), "did you mean nano-arithmetic"),
    "unknown evaluation task": ((*TRAIN, "--set", 'eval.tasks=["nano-srt"]'), "did you mean nano-sort"),
    "unknown key": ((*TRAIN, "--set", "optim.learning_rate=1e-3"), "unknown key optim.learning_rate"),
    "unknown table": ((*TRAIN, "--set", "optimizer.lr=1e-3"), "did you mean optim"),
    "mistyped value": ((*TRAIN, "--set", "optim.lr=fast"), "optim.lr = 'fast'"),
    "value out of range": ((*TRAIN, "--set", "rollout.temperature=0"), "it must be a number, above 0"),
    "one completion in a group": ((*TRAIN, "--set", "rollout.completions=1"), "a whole number, at least 2"),
    "negative rate": ((*TRAIN, "--set", "optim.lr=-1"), "it must be a number, at least 0"),
    "mini-batches that do not divide": ((*TRAIN, "--set", "optim.updates_per_rollout=3"), "one of 1, 2, 4, 8"),
    "a change without a value": ((*TRAIN, "--set", "optim.lr"), "write --set optim.lr=1e-3"),
    "data that are not there": ((*TRAIN, "--set", "task.data=nowhere.jsonl"), "without task.reward"),
    "data and a reward that are not there": (
        (*TRAIN, "--set", "task.data=nowhere.jsonl", "--set", "task.reward=exact"),
        "no data at nowhere.jsonl",
    ),
    "a setting of rollouts in supervised training": ((*TRAIN, "--set", "algorithm.name=sft"), "is set for sft"),
    "pieces that do not divide": ((*TRAIN, "--set", "optim.micro_batch=3"), "one of 1, 2, 4"),
    "bounds of a guard that is off": ((*TRAIN, "--set", "guard.kl_base=0.1"), "set guard.action"),
    "batches without dynamic sampling": ((*TRAIN, "--set", "algorithm.max_gen_batches=3"), "dynamic_sampling too"),
    "a penalty without its buffer": ((*TRAIN, "--set", "algorithm.overlong_penalty=2.0"), "overlong_buffer too"),
    "geometry of supervised training": (
        (*TRAIN, "--set", "algorithm.name=sft", "--set", "run.geometry_every=5"),
        "is set for sft",
    ),
    "geometry of a method without a change per matrix": (
        (*TRAIN, "--set", "adapter.method=ia3", "--set", "run.geometry_every=5"),
        "it changes no matrix by itself",
    ),
    "AdaLoRA with one optimizer step": (
        (
            *TRAIN,
            "--set",
            "adapter.method=adalora",
            "--set",
            "optim.rollouts=1",
            "--set",
            "optim.updates_per_rollout=1",
        ),
        "no step to cut its rank in",
    ),
    "a setting that the method of the same command has no use for": (
        (*TRAIN, "--set", "adapter.method=ia3", "--set", "adapter.rank=16"),
        "adapter.rank = 16 is set for ia3",
    ),
    "vLLM where there is none": ((*TRAIN, "--set", "rollout.engine=vllm"), "vLLM is not installed"),
    "two starts": ((*TRAIN, "--set", "adapter.method=pissa+rlpo"), "two starts"),
    "a structure on a method without factors": ((*TRAIN, "--set", "adapter.method=ia3+dora"), "no factors A and B"),
    "restoring without checkpoints": (
        (*TRAIN, "--set", "guard.action=restore", "--set", "run.save_every=0"),
        "no checkpoint to go back to",
    ),
    "evaluating nothing": ((*TRAIN, "--set", "eval.every=2", "--set", "eval.tasks=[]"), "name the tasks"),
    "a preflight of supervised training": ((*LOOK, "--set", "algorithm.name=sft"), "supervised training generates"),
    "a preflight of an unknown method": ((*LOOK, "--methods", "lora,pisa"), "did you mean pissa"),
    "a preflight of a method twice": ((*LOOK, "--methods", "lora,dora,lora+dora"), "names dora twice"),
    "a preflight of methods and a directory": (
        (*LOOK, "--set", "adapter.path=EMPTY", "--methods", "lora"),
        "leave out --methods",
    ),
    "an empty name of a method": ((*LOOK, "--methods", "lora,"), "commas stand between methods"),
    "no KL to spend": ((*LOOK, "--kl-budget", "0"), "not above 0"),
    "a preflight written over a file": (("preflight", "RECIPE", "--out", "RECIPE"), "already exists"),
    "nothing to inspect": (("inspect", "nowhere", "--base", "nano"), "no directory nowhere"),
    "nothing to verify": (("verify", "nowhere", "--base", "nano"), "no directory nowhere"),
    "nothing to export": (
        ("export", "nowhere", "--base", "nano", "--as", "lora", "--out", "OUT"),
        "no directory nowhere",
    ),
    "nothing to report": (("report", "nowhere"), "no directory nowhere"),
    "a file to report": (("report", "RECIPE"), "why: it is a file"),
    "no adapter to evaluate": (
        ("eval", "nano", "--adapter", "nowhere", "--task", "nano-sort", "--out", "OUT"),
        "why: nothing of that name is there",
    ),
    "unknown profile": ((*TRAIN, "--profile", "paper"), "no profile 'paper'"),
    "missing completions": (("grade", "--task", "gsm8k", "--input", "nowhere.jsonl"), "why: there is no such file"),
    "no recipe at all": (("train",), "why: it needs that to begin"),
    "missing recipe": (("train", "nowhere.toml", "--out", "OUT"), "no file nowhere.toml"),
    "no output": (("train", "RECIPE"), "add --out"),
    "rank above min(m, n)": ((*INIT, "--rank", "65"), "at most 64"),
    "rank 0": ((*INIT, "--rank", "0"), "at least 1"),
    "alpha 0": ((*INIT, "--alpha", "0"), "at least 1"),
    "unknown option": ((*INIT, "--option", "sigma=divided"), "rlpo takes no options"),
    "unknown value of an option": (
        ("init", "nano", "--out", "OUT", "--method", "pissa", "--option", "sigma=halved"),
        "divided",
    ),
    "an option without a value": ((*INIT, "--option", "sigma"), "write --option sigma=undivided"),
    "a share that keeps nothing": (
        ("init", "nano", "--out", "OUT", "--method", "geora", "--option", "rho=1e-9"),
        "give a larger rho",
    ),
    "a revision of a directory": ((*INIT, "--revision", "v1"), "only a hub id has revisions"),
    "unknown type": ((*INIT, "--dtype", "float61"), "did you mean float16"),
    "unknown target": ((*INIT, "--targets", "no_proj"), "no module is named"),
    "missing model": (("init", "./nowhere", *INIT[2:]), "no model at ./nowhere"),
    "not a model": (("init", "EMPTY", *INIT[2:]), "no config.json"),
    "broken safetensors": (("init", "BROKEN", *INIT[2:]), "broken safetensors"),
    "pickled weights": (("init", "PICKLED", *INIT[2:]), "never"),
    "unreachable hub": (("init", "nobody/nothing", *INIT[2:]), "the hub did not give it"),
    "unknown method to cite": (("cite", "lorra"), "did you mean lora"),
    "a report of nothing": (("report", "EMPTY"), "EMPTY"),
    "a grid with an unknown axis": (("compare", "GRID", "--out", "OUT"), "did you mean optim.lr"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_message_and_leaves_nothing(
    mistake: str,
    tmp_path: Path,
    recipe: Path,
    broken_model: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, expected = MISTAKES[mistake]
    (tmp_path / "empty").mkdir()
    pickled = tmp_path / "pickled"
    shutil.copytree(NANO_PATH, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "grid.toml").write_text('[axes]\n"optim.rl" = [1e-3]\n')
    places = {
        "OUT": tmp_path / "out",
        "RECIPE": recipe,
        "EMPTY": tmp_path / "empty",
        "BROKEN": broken_model,
        "PICKLED": pickled,
        "GRID": tmp_path / "grid.toml",
    }
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    message = refused(capsys, *(str(places.get(argument, argument)) for argument in arguments))
    assert str(places.get(expected, expected)) in message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", [("init", "nano", "--method", "rlpo"), ("train", "RECIPE"), ("compare", "RECIPE")])
def test_existing_output_is_refused_and_kept(
    command: tuple[str, ...], tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    if command[0] == "compare":
        recipe.write_text('[axes]\n"optim.lr" = [1e-3]\n')
    arguments = [str(recipe) if word == "RECIPE" else word for word in command]
    assert "already exists" in refused(capsys, *arguments, "--out", str(out))
    assert "not written by Stiefel" in refused(capsys, *arguments, "--out", str(out), "--force")
    assert (out / "mine.txt").read_text() == "precious"


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"  # a file where a directory is needed: refused for every user, root too
    blocked.write_text("")
    for arguments in (("init", "nano", "--method", "lora"), ("train", str(recipe))):
        assert "cannot be written" in refused(capsys, *arguments, "--out", str(blocked / "out"))


def test_force_replaces_our_own_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(SystemExit) as exit_status:
            main(["init", "nano", "--method", "lora", "--rank", "2", "--out", str(out), "--force", "--json"])
        assert exit_status.value.code == 0
        assert json.loads(capsys.readouterr().out)["rank"] == 2
