"""What needs a real verl: collected where one is installed (`make test-verl`), and left out of the main suite."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore_glob = [] if find_spec("verl") else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))  # verl's own and its packages', as they come


if find_spec("verl"):
    from .platform import on_cpu

    on_cpu()  # verl asks its platform when its engines are first imported
    with warnings.catch_warnings(action="ignore"):  # of backends that are not installed, and of what ray deprecates
        import verl.experimental.agent_loop
        import verl.workers.engine
        import verl.workers.engine_workers  # noqa: F401
