"""What needs a real vLLM: collected where one is installed (`make test-vllm`), and left out of the main suite."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.model.weights import load_model
from tests.vllm.servers import for_training, serving
from tests.vllm.subjects import KINDS, shaken

collect_ignore_glob = [] if find_spec("vllm") else ["test_*.py"]
if find_spec("vllm"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of vLLM's packages, when they are imported
        import trl.trainer.grpo_trainer  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))  # vLLM's own and its packages', as they come


@pytest.fixture(scope="session")
def policy_server() -> Iterator[str]:
    """A server of nano's, to which trainers send what they train."""
    with serving(for_training()) as address:
        yield address


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An adapter of each kind, away from its start so that its completions are its own."""
    root = tmp_path_factory.mktemp("adapters")
    for method in KINDS:
        save(shaken(attach(load_model("nano"), method, r=4, alpha=8)), root / method)
    return {method: root / method for method in KINDS}
