"""The script: one command that a person can read, the words that verl gets, and what comes before and after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stiefel.cli import main
from stiefel.verl.hydra import hydra_value
from stiefel.verl.launching import planned
from stiefel.verl.overrides import Place
from tests.verl.recipes import LAUNCHED, RECIPES, launched, overrides

PAPER = ["launch", "verl", str(RECIPES / "rlpo/main.toml"), "--profile", "paper"]
STUB = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, *sys.argv[1:], os.environ.get("VERL_FILE_LOGGER_PATH", "")]) + "\\n")
if "verl.trainer.main_ppo" in sys.argv:
    open(os.environ["VERL_FILE_LOGGER_PATH"], "w").close()
"""


def dry_run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as status:
        main([*words, "--dry-run"])
    said = capsys.readouterr()
    assert status.value.code == 0, said.err
    return said.out


def commands(script: Path, path: Path) -> list[list[str]]:
    """What a script calls, word by word, where python and stiefel only write down what they were given."""
    log = path / "called.jsonl"
    log.unlink(missing_ok=True)
    path.mkdir(exist_ok=True)
    for name in ("python", "stiefel"):
        (path / name).write_text(STUB.format(python=sys.executable, log=str(log), name=name))
        (path / name).chmod(0o755)
    subprocess.run(["bash", str(script)], check=True, env=os.environ | {"PATH": f"{path}:{os.environ['PATH']}"})
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def script(tmp_path: Path) -> tuple[Path, Path]:
    run = tmp_path / "run"
    run.mkdir()
    (run / "launch.sh").write_text(planned(launched("rlpo"), "stiefel launch verl …", run / "launch.sh"))
    return run / "launch.sh", run


def test_a_dry_run_needs_no_verl_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "verl", None)  # neither there nor asked for
    monkeypatch.chdir(tmp_path)
    text = dry_run(capsys, *PAPER, "--out", str(tmp_path / "there" / "launch.sh"))
    assert f"RUN={tmp_path}/there " in text
    assert list(tmp_path.iterdir()) == []


def test_it_is_bash_and_has_one_override_a_line(script: tuple[Path, Path]) -> None:
    path, _ = script
    subprocess.run(["bash", "-n", str(path)], check=True)
    inside = path.read_text().partition("overrides=(\n")[2].partition("\n)\n")[0].splitlines()
    settings = [line for line in inside if not line.lstrip().startswith("#")]
    assert len(settings) == len(overrides(launched("rlpo")))
    assert all(line.count("=") == 1 and line.startswith("  ") for line in settings)


@pytest.mark.parametrize("name", LAUNCHED)
def test_bash_hands_verl_exactly_the_overrides(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    recipe = launched(name, *(["model.path=/models/mine"] if name.endswith("nano") or "nano-" in name else []))
    (run / "launch.sh").write_text(planned(recipe, "…", run / "launch.sh"))
    called = commands(run / "launch.sh", tmp_path / "bin")
    (started,) = [words for words in called if "verl.trainer.main_ppo" in words]
    metrics = f"{run}/metrics-1.jsonl"
    place = Place(str(run), recipe.model.path, f"{run}/adapter")
    assert recipe.model.path.startswith("/") or name in ("rlpo", "geora", "peft12", "smollm2")
    expected = [word.replace("$VERL_FILE_LOGGER_PATH", metrics) for word in overrides(recipe, place)]
    given = [word.replace(str(Path(recipe.model.path).absolute()), recipe.model.path) for word in started[4:-1]]
    assert [word.replace("'", "") for word in given] == [word.replace("'", "") for word in expected]


def test_the_check_comes_first_and_the_tasks_are_measured_before_and_after_in_their_own_way(
    script: tuple[Path, Path], tmp_path: Path
) -> None:
    path, run = script
    called = [words[:-1] for words in commands(path, tmp_path / "bin")]
    assert called[0] == ["python", "-m", "stiefel.verl"]
    verbs = [words[1] for words in called if words[0] == "stiefel"]
    assert verbs == ["eval"] * 5 + ["export"] + ["eval"] * 5
    export = next(words for words in called if words[1] == "export")
    base = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    assert export[2:] == [f"{run}/checkpoints", "--base", base, "--as", "lora", "--out", f"{run}/trained", "--force"]
    after = [words for words in called if words[1] == "eval" and "--adapter" in words]
    assert [words[words.index("--task") + 1] for words in after] == ["gsm8k", "math500", "aime22", "aime23", "aime24"]
    assert {words[words.index("--adapter") + 1] for words in after} == {f"{run}/trained"}


def test_the_check_for_a_failed_reward_follows_verl_at_once(script: tuple[Path, Path], tmp_path: Path) -> None:
    called = [words[:-1] for words in commands(script[0], tmp_path / "bin")]
    started = next(place for place, words in enumerate(called) if "verl.trainer.main_ppo" in words)
    assert called[started + 1] == ["python", "-m", "stiefel.verl", "ended"]


def test_every_command_of_ours_in_the_script_parses(script: tuple[Path, Path], tmp_path: Path) -> None:
    from stiefel.cli import cli

    path, _ = script
    for words in commands(path, tmp_path / "bin"):
        if words[0] == "stiefel":
            cli.commands[words[1]].make_context(words[1], words[2:-1])


def test_a_second_start_keeps_the_metrics_of_the_first(script: tuple[Path, Path], tmp_path: Path) -> None:
    """verl's file logger empties the file that it opens."""
    path, run = script
    starts = [commands(path, tmp_path / "bin") for _ in range(2)]
    files = [next(words for words in called if "verl.trainer.main_ppo" in words)[-1] for called in starts]
    assert files == [f"{run}/metrics-1.jsonl", f"{run}/metrics-2.jsonl"]


def test_what_is_measured_already_is_left_alone(script: tuple[Path, Path], tmp_path: Path) -> None:
    path, run = script
    (run / "before" / "gsm8k").mkdir(parents=True)
    (run / "before" / "gsm8k" / "eval.json").touch()
    called = commands(path, tmp_path / "bin")
    assert sum(words[:2] == ["stiefel", "eval"] for words in called) == 9


def test_where_verl_measures_there_are_no_lines_of_ours(tmp_path: Path) -> None:
    recipe = launched("nano-dapo", "model.path=/models/mine", "eval.every=20")
    text = planned(recipe, "…", tmp_path / "launch.sh")
    assert "stiefel} eval" not in text
    assert "trainer.test_freq=20" in text
    assert "trainer.val_before_train=True" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["run.threads=2"], "run.threads: ray shares out the machines' processors."),
        (["run.geometry_every=5"], "run.geometry_every: `stiefel inspect` measures the trained adapter."),
        (["algorithm.dynamic_sampling=true"], "algorithm.max_gen_batches: verl samples until a rollout is full"),
        (["optim.warmup_rollouts=3"], "optim.warmup_rollouts: verl warms up from 0"),
    ],
)
def test_what_verl_does_otherwise_is_said(changes: list[str], said: str) -> None:
    text = planned(launched("rlpo", *changes), "…", None)
    assert said in text.replace("\n#  ", "")
    assert said not in planned(launched("rlpo"), "…", None).replace("\n#  ", "")


def test_a_task_of_reasoning_gym_is_measured_with_its_options() -> None:
    text = planned(launched("smollm2", 'eval.sampling="task"', "eval.temperature=0.6", "eval.top_p=0.95"), "…", None)
    assert "--task reasoning_gym:lcm --option min_numbers=2 --option max_numbers=2 --option max_value=12" in text


def test_a_revision_is_resolved_by_the_script() -> None:
    text = planned(launched("rlpo", 'model.revision="abc"'), "…", None)
    line = next(line for line in text.splitlines() if line.startswith("MODEL="))
    assert "model_files" in line
    assert "abc" in line


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "null"),
        (True, "True"),
        (1e-5, "1e-05"),
        ([0.9, 0.999], "[0.9,0.999]"),
        (["q_proj", "v_proj"], "[q_proj,v_proj]"),
        ("all-linear", "all-linear"),
        ("null", "'null'"),
        (r"layers\.(0|1)\..*", r"'layers\.(0|1)\..*'"),
        ("it's", r"'it\'s'"),
        ("ends in \\", "'ends in \\\\'"),
    ],
)
def test_values_in_hydras_words(value: object, word: str) -> None:
    assert hydra_value(value) == word
