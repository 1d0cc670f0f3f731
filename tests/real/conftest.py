"""A real pretrained model, SmolLM2-135M-Instruct: the tests here run where `make smollm2` has put it, as CI does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stiefel.model import load_model, load_tokenizer
from tests.smollm2 import PLACE, SKIP, left_out, require

HERE = Path(__file__).parent
FEW = r"model\.layers\.(0|29)\..*_proj"  # 14 of its 210 matrices: every shape, the first and the last layer
TEXT = "The lazy dog: 17 + 25 = 42."
ADD = {"role": "system", "content": "Add."}  # shorter than what the template says where nothing is said


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and left_out():
            item.add_marker(SKIP)


@pytest.fixture(scope="session", autouse=True)
def place() -> Path:
    require()
    return PLACE


@pytest.fixture(scope="session")
def tokenizer(place: Path) -> Any:
    return load_tokenizer(str(place))


@pytest.fixture(scope="session")
def loaded(place: Path) -> dict[str, Any]:
    """The model in each type that a test asked for; whoever attaches to it takes the adapter off again."""
    return {}


@pytest.fixture
def model(request: pytest.FixtureRequest, place: Path, loaded: dict[str, Any]) -> Iterator[Any]:
    """The bare model, in float32 or the type of the parameter."""
    dtype = getattr(request, "param", "float32")
    if dtype not in loaded:
        loaded[dtype] = load_model(str(place), dtype).eval()
    yield loaded[dtype]
    assert not [name for name, _ in loaded[dtype].named_parameters() if "lora_" in name], "left an adapter behind"


@pytest.fixture(scope="session")
def logits(tokenizer: Any) -> Any:
    """Of a sentence."""
    ids = tokenizer(TEXT, return_tensors="pt").input_ids

    def compute(model: Any) -> torch.Tensor:
        with torch.no_grad():
            return model(input_ids=ids).logits

    return compute


@pytest.fixture(scope="session")
def known() -> dict[torch.dtype, torch.Tensor]:
    """What `base` has computed."""
    return {}


@pytest.fixture
def base(model: Any, logits: Any, known: dict[torch.dtype, torch.Tensor]) -> torch.Tensor:
    """The logits of the bare model, computed once in each type: nothing that is attached to it leaves a trace."""
    if model.dtype not in known:
        known[model.dtype] = logits(model)
    return known[model.dtype]


@pytest.fixture(scope="session")
def recipe(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """recipe(**tables): sums asked in a chat, two small rollouts, RLPO on the two layers."""
    rows = tmp_path_factory.mktemp("rows") / "sums.jsonl"
    pairs = [(a, b) for a in range(2, 10) for b in range(2, 10)]
    asked = [{"prompt": [ADD, {"role": "user", "content": f"{a}+{b}=?"}], "answer": str(a + b)} for a, b in pairs]
    rows.write_text("".join(json.dumps(row) + "\n" for row in asked))

    def make(**tables: dict[str, Any]) -> dict[str, dict[str, Any]]:
        base: dict[str, dict[str, Any]] = {
            "model": {"path": str(place)},
            "adapter": {"method": "rlpo", "rank": 4, "alpha": 8, "targets": FEW},
            "task": {"name": "sums", "data": str(rows), "reward": "tests.real.reward:distinct"},
            "rollout": {"prompts": 2, "completions": 2, "max_completion_tokens": 8},
            "optim": {"rollouts": 2, "updates_per_rollout": 2, "lr": 1e-4},
            "run": {"threads": 1, "save_every": 1, "kl_every": 1},
            "eval": {"tasks": []},
        }
        return {name: {**base.get(name, {}), **tables.get(name, {})} for name in base.keys() | tables.keys()}

    return make
