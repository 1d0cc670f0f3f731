"""The first updates of every method on stored completions are the recorded ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stiefel.methods import METHODS

from .golden import GOLDEN, trace

# Another processor rounds float32 sums in another order. A gradient entry carries a relative error of about
# eps·√(tokens·layers) ≈ 1.2e-7·√(600·28) ≈ 1.5e-5; AdamW's first steps are sign-like, so that an entry near zero may
# go the other way by 2·lr, and six updates leave a few thousandths of the norms uncertain.
RELATIVE = 1e-2
ABSOLUTE = 1e-5  # the loss and the KL are differences of larger terms


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_the_first_six_updates_are_the_recorded_ones(method: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    found = trace(method, golden, tmp_path)
    assert len(found) == 6
    for step, expected in zip(found, golden["traces"][method], strict=True):
        assert step == pytest.approx(expected, rel=RELATIVE, abs=ABSOLUTE)


def test_the_traces_tell_the_methods_apart() -> None:
    norms = [tuple(step["grad_norm"] for step in trace) for trace in json.loads(GOLDEN.read_text())["traces"].values()]
    assert len(set(norms)) == len(METHODS)
