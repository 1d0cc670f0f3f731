"""The commands of docs/serving.md and of `stiefel export` serve what transformers writes in this process."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stiefel.adapter import export
from stiefel.evaluation.subject import Subject
from stiefel.model.weights import load_tokenizer
from tests.vllm.servers import ask, serving
from tests.vllm.subjects import GREEDY, by_transformers, prompts

GREEDILY = {"temperature": 0, "max_tokens": GREEDY.max_tokens}


def texts(subject: Subject) -> list[str]:
    return [each.text for each in by_transformers(subject)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the adapters are to lie in the form that engines read."""
    return {name: tmp_path_factory.mktemp("exported") / "adapter" for name in ("rlpo", "pissa")}


@pytest.fixture(scope="module")
def command(adapters: dict[str, Path], exported: dict[str, Path]) -> list[str]:
    """What the export of the anchored one, whose rank is the higher, names next."""
    for name, out in exported.items():
        words = ["export", str(adapters[name]), "--base", "nano", "--as", "lora", "--out", str(out)]
        ran = subprocess.run([sys.executable, "-m", "stiefel", *words], capture_output=True, text=True, check=True)
    return shlex.split(ran.stderr.splitlines()[-1].removeprefix("next: "))


@pytest.fixture(scope="module")
def server(command: list[str], exported: dict[str, Path]) -> Iterator[str]:
    """That command, with the other adapter beside."""
    with serving([*command, f"plain={exported['rlpo']}"]) as address:
        yield address


@pytest.mark.parametrize(("model", "method"), [("adapter", "pissa"), ("plain", "rlpo")])
def test_an_adapter_is_served_beside_its_base(model: str, method: str, server: str, adapters: dict[str, Path]) -> None:
    found = ask(server, {"model": model, "prompt": prompts(), **GREEDILY})
    assert found == texts(Subject("nano", adapter=adapters[method]))


def test_the_base_is_served_as_it_is(server: str, command: list[str]) -> None:
    model = command[command.index("--model") + 1]
    assert ask(server, {"model": model, "prompt": prompts(), **GREEDILY}) == texts(Subject("nano"))


def test_transformers_serves_a_merged_one(adapters: dict[str, Path], tmp_path: Path) -> None:
    export(adapters["pissa"], "nano", "merged", tmp_path / "merged")
    tokenizer = load_tokenizer("nano")
    asked = [tokenizer.decode(prompt, skip_special_tokens=True) for prompt in prompts()[::10]]
    program = str(Path(sys.executable).parent / "transformers")
    with serving([program, "serve", str(tmp_path / "merged")]) as address:
        body = {"model": str(tmp_path / "merged"), **GREEDILY}
        found = [ask(address, {**body, "prompt": text})[0] for text in asked]
    assert found == texts(Subject("nano", adapter=adapters["pissa"]))[::10]
