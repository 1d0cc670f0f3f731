"""A name or a path where a model is wanted is one message, wherever a model is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from stiefel import attach, load, save
from stiefel.adapter import base_policy, certificate_of
from stiefel.errors import UserError
from stiefel.model.weights import load_model

NOT_MODELS = ["a/path", "nano", Path("a/path"), None, {"model": 1}, 3]


@pytest.mark.parametrize("given", NOT_MODELS, ids=repr)
@pytest.mark.parametrize("method", ["rlpo", "pissa", "ia3", "ln_tuning", "full"])
def test_attach_wants_a_model_that_is_loaded(given: Any, method: str) -> None:
    with pytest.raises(UserError, match="attach was given") as raised:
        attach(given, method)
    named = isinstance(given, str | Path)
    assert ("load it first" in raised.value.instead) is named
    if isinstance(given, str):
        assert repr(given) in raised.value.what


@pytest.mark.parametrize("given", NOT_MODELS, ids=repr)
@pytest.mark.parametrize(
    "use", [lambda it, out: load(it, out), lambda it, out: save(it, out), lambda it, out: certificate_of(it)]
)
def test_so_do_the_others(given: Any, use: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    save(attach(load_model("nano"), "rlpo", r=2, alpha=4), tmp_path / "adapter")
    with pytest.raises(UserError, match="in the model's place"):
        use(given, tmp_path / "adapter")
    with pytest.raises(UserError), base_policy(given):
        pass


def test_a_module_that_is_no_transformers_model_has_its_own_message() -> None:
    with pytest.raises(UserError, match="not a transformers model"):
        attach(nn.Linear(3, 3), "rlpo")
