"""Every command and every Python block of the pages is run here, or stands here with the reason why not.

A page's commands are run in their order in a directory of its own, in which there are the repository's recipes and
examples, a run of nano, and the few files that the pages name as yours.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from transformers import AutoModelForCausalLM

import stiefel
from stiefel.cli import main
from stiefel.methods import Claims, Factors, Layer, method
from stiefel.methods.papers import RLPO
from stiefel.nano import NANO_PATH
from stiefel.recipe import load_grid, load_recipe, overlay, read_toml
from tests.docs.pages import PAGES, ROOT, Block, blocks, name_of

pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument")  # the Trainer's default, without a GPU

YOURS = ("my_rewards", "own_start")  # modules that the pages speak of
ONE_ROLLOUT = {
    "optim.rollouts": 1,
    "rollout.prompts": 2,
    "rollout.completions": 4,
    "rollout.max_completion_tokens": 16,
    "eval.limit": 1,
}


@dataclass(frozen=True)
class Run:
    """Run as it stands, with these words behind it."""

    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Excused:
    """Not run here, for a reason: another test runs it, or it needs what a test has not."""

    reason: str


SHORT = Run(tuple(word for key, value in ONE_ROLLOUT.items() for word in ("--set", f"{key}={value}")))
MAKE = Excused("a target of the Makefile, which the test below holds")
MINUTES = "takes minutes; "
HUB = Excused("needs a hub")
NO_VLLM = Excused("needs vLLM; tests/vllm")
MACHINES = Excused("needs other machines or GPUs; tests/docs/test_scaling.py parses the launches")
INSTALLS = Excused("installs packages")
LAUNCHED = Excused("of a run that verl left; tests/verl")

# by the first that matches from the command's first letter on
COMMANDS: list[tuple[str, Run | Excused]] = [
    (r"make ", MAKE),
    (r"([.\w]+/bin/)?pip install|python3? -m venv", INSTALLS),
    (r"\.venv/bin/stiefel doctor", Run()),
    (r"\.venv-vllm/|vllm serve|transformers serve|(export )?VLLM_", NO_VLLM),
    (r"accelerate launch|ACCELERATE_|srun |ray |bash runs/sweep", MACHINES),
    (r"bash runs/rlpo-verl/launch.sh", Excused("needs GPUs and verl; tests/verl starts a launched script")),
    (r"python examples/trl_script.py", Excused("tests/docs/test_examples.py runs it")),
    (r"python -m benchmarks.laboratory", Excused("hours of runs; tests/benchmarks imports it, and holds its figures")),
    (r"python -m scripts.laboratory", Excused("tests/docs/test_methods.py holds the page to it")),
    (r"python -m scripts.skyrl", Excused("tests/scripts/test_skyrl.py runs it")),
    (r"source \.venv/bin/activate", Excused("for the shell that the reader types in")),
    (r"cd examples", Excused("the commands after it are run beside the examples")),
    (r"tail ", Run()),
    (r"stiefel .*\bMODEL\b", Excused("MODEL is the reader's")),
    (r"stiefel .*Qwen/", HUB),
    (r"stiefel .*smollm2", Excused("needs the downloaded model; tests/real")),
    (r"stiefel .*lm-eval:", HUB),
    (r"stiefel .*--engine vllm", NO_VLLM),
    (r"stiefel compare", Excused(MINUTES + "tests/comparison")),
    (r"stiefel report runs/methods", Excused("of a comparison; tests/report")),
    (r"stiefel choose", Excused(MINUTES + "tests/choice")),
    (r"stiefel preflight", Excused(MINUTES + "tests/foresight")),
    (r"stiefel reproduce .*--out", Excused(MINUTES + "tests/reproduction")),
    (r"stiefel reproduce .*--dry-run", Excused("ends with 1 where a machine lacks something; tests/reproduction")),
    (r"stiefel launch verl .*--out", Excused("reads the model from a hub; tests/launch")),
    (r"stiefel (export|import verl) runs/rlpo-verl|stiefel verify trained |stiefel report runs/verl", LAUNCHED),
    (r"stiefel train .*--dry-run", Run()),
    (r"stiefel train recipes/rlpo/main.toml", Run((*SHORT.more, "--set", "eval.tasks=[]"))),
    (r"stiefel train ", SHORT),
    (r"stiefel eval .*--show", Run()),
    (r"stiefel eval ", Run(("--limit", "1", "--max-tokens", "16"))),
    (r"stiefel methods --check", Excused("takes seconds for each start; tests/contract/test_own_start.py runs it")),
    (r"stiefel ", Run()),
]

# by page and the block's first words
PYTHON: dict[tuple[str, str], str] = {
    ("README.md", "import stiefel"): "three lines out of a script; tests/docs/test_examples.py runs a whole one",
    ("docs/tasks.md", "word_problems ="): "tests/docs/test_tasks.py runs it",
    ("docs/api.md", "import stiefel"): "",
    ("docs/data.md", "def score("): "",
    ("docs/rewards.md", "from stiefel.rewards"): "",
    ("docs/serving.md", "from peft import"): "",
    **dict.fromkeys(
        [("CONTRIBUTING.md", word) for word in ("@method(", "TEST = range", "class PlainEngine", "def so_far")],
        "tests/docs/test_contributing.py holds it to the example that it is a part of, and runs that",
    ),
}
FENCES = [block for page in PAGES for block in blocks(page)]
WITH_COMMANDS = [page for page in PAGES if any(block.commands for block in blocks(page))]
PYTHON_BLOCKS = [block for block in FENCES if block.language == "python"]


def rule_of(command: str) -> tuple[str, Run | Excused] | None:
    """Which entry of the table says what is to be done with a command; None for one that nobody thought of."""
    return next((rule for rule in COMMANDS if re.match(rule[0], command)), None)


def key_of(block: Block) -> tuple[str, str]:
    """A Python block's place in the table."""
    known = [key for key in PYTHON if key[0] == name_of(block.page) and block.text.startswith(key[1])]
    return known[0] if known else (name_of(block.page), block.text.partition("\n")[0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One short run of nano, which all pages share."""
    run = stiefel.train(ROOT / "recipes/nano/dapo.toml", tmp_path_factory.mktemp("blocks") / "run", changes=ONE_ROLLOUT)
    checkpoint = next((run / "checkpoints").iterdir())
    shutil.copytree(checkpoint, run / "checkpoints" / "checkpoint-80")  # of a run of sixty rollouts
    return run


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a page's commands are run."""
    for name in ("recipes", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "own_start.py").symlink_to(ROOT / "examples" / "own_start.py")
    shutil.copytree(trained, tmp_path / "run")
    rows = [{"prompt": f"{a}+{a}?", "answer": str(2 * a)} for a in range(1, 9)]
    for name in ("sums.jsonl", "sums_heldout.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    answered = {"question": "1 + 1?", "completion": "2", "answer": "2", "metadata": {}}
    (tmp_path / "completions.jsonl").write_text(json.dumps(answered) + "\n")
    (tmp_path / "gsm8k_test.jsonl").write_text('{"question": "1 + 1?", "answer": "#### 2"}\n')
    (tmp_path / "my_rewards.py").write_text(
        "def score(completion, answer):\n    return float(completion.strip().endswith(answer))\n"
    )
    (tmp_path / "recipe.toml").write_text((ROOT / "recipes/nano/dapo.toml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in YOURS:
        sys.modules.pop(name, None)  # another test's of that name
    yield tmp_path
    for name in YOURS:
        sys.modules.pop(name, None)


def typed(command: str, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]) -> None:
    """Run a command in this process; one that fails fails the test with what it said."""
    words, _, target = command.partition(" > ")
    arguments = shlex.split(words)
    if arguments[0] == "tail":
        assert Path(arguments[-1]).is_file()
        return
    with pytest.raises(SystemExit) as status:
        main([*arguments[1:], *more])
    said = capsys.readouterr()
    assert status.value.code == 0, f"{command}\n{said.err}"
    if target:
        Path(target.strip()).write_text(said.out)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_the_commands_of_a_page_run_or_are_excused(page: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [command for block in blocks(page) for command in block.commands]
    if any(re.match("stiefel train .*--out run$", command) for command in commands):
        shutil.rmtree(place / "run")  # the page makes its own
    for command in commands:
        match rule_of(command):
            case None:
                pytest.fail(f"{name_of(page)}: {command!r} is neither run nor excused")
            case _, Run(more):
                typed(command, capsys, more)


def test_no_rule_is_left_over() -> None:
    used = {rule[0] for block in FENCES for command in block.commands if (rule := rule_of(command))}
    assert [pattern for pattern, _ in COMMANDS if pattern not in used] == []
    assert set(PYTHON) == {key_of(block) for block in PYTHON_BLOCKS}, "a Python block is neither run nor excused"


LANGUAGES = {
    "console": "run or excused above",
    "python": "run or excused below",
    "toml": "read below",
    "diff": "tests/docs/test_examples.py",
    "bash": "tests/docs/test_verl.py, which writes the script anew",
    "bibtex": "tests/docs/test_citation.py",
    "text": "prompts and helps, which scripts/tasks.py and scripts/commands.py write; test_tasks.py, test_commands.py",
    "{eval-rst}": "the site's; tests/docs/test_site.py",
}


def test_no_block_is_of_a_language_that_nothing_reads() -> None:
    found = {block.language: name_of(block.page) for block in FENCES if block.language}
    assert found.keys() == LANGUAGES.keys(), found


TOML_BLOCKS = [block for block in FENCES if block.language == "toml"]


@pytest.mark.parametrize("block", TOML_BLOCKS, ids=lambda block: f"{name_of(block.page)}:{block.line}")
def test_a_toml_block_is_a_grid_or_a_part_of_a_recipe(block: Block, place: Path) -> None:
    """A grid is read with each of its profiles; a part of a recipe is laid over nano's."""
    tables = tomllib.loads(block.text)
    nano = ROOT / "recipes/nano/dapo.toml"
    if "recipe" not in tables:
        whole = {key: table for key, table in read_toml(nano).items() if key != "task" or key not in tables}
        (place / "part.toml").write_text(tomli_w.dumps(overlay(whole, tables)))
        load_recipe(place / "part.toml")
        return
    (place / "dapo.toml").write_text(nano.read_text())
    protocol = (ROOT / "recipes/rlpo/protocol.toml").read_text()
    (place / "protocol.toml").write_text(protocol)
    (place / "grid.toml").write_text(block.text)
    for profile in [*tables.get("profile", {})] or [""]:
        assert load_grid(place / "grid.toml", profile=profile).runs


def test_what_is_made_is_a_target() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    asked = [command.split()[1] for block in FENCES for command in block.commands if command.startswith("make ")]
    assert asked
    assert set(asked) <= set(targets)


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=lambda block: f"{name_of(block.page)}:{block.line}")
def test_a_python_block_runs_or_is_excused(block: Block, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(block)
    assert key in PYTHON, f"{key} is neither run nor excused"
    compile(block.text, name_of(block.page), "exec")
    if PYTHON[key]:
        return
    scope: dict[str, Any] = {"__name__": "block"}
    match key[0]:
        case "docs/rewards.md":
            scope |= {"completions": ["```python\nx = 1\n```"], "answers": [""], "rows": [{"prompt": "", "tests": "x"}]}
        case "docs/serving.md":  # the base's id stands for nano, whose adapter is exported first
            from_pretrained = AutoModelForCausalLM.from_pretrained
            monkeypatch.setattr(
                AutoModelForCausalLM, "from_pretrained", lambda name, **settings: from_pretrained(NANO_PATH, **settings)
            )
            with pytest.raises(SystemExit):
                main(["export", "run", "--base", "nano", "--as", "lora", "--out", "lora"])
        case "CONTRIBUTING.md":
            scope |= {"method": method, "Claims": Claims, "Factors": Factors, "Layer": Layer, "RLPO": RLPO}
    exec(block.text, scope)  # our own pages
    if key[0] == "docs/data.md":
        assert scope["score"]("so it is 4", "4", prompt="2+2?") == 1.0
