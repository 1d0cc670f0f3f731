"""docs/models.md says of every family what is kept of it, and what a part of it, tried again, still does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.families import FAMILIES, make
from benchmarks.models import ALL_LINEAR, METHODS, prepared, selected, starts, stepped
from scripts.models import HELD, PAGE, generic, page, verdict
from scripts.results import results

pytestmark = [
    pytest.mark.filterwarnings("ignore:.all-linear. leaves out:UserWarning"),  # which the page says too
    pytest.mark.filterwarnings("ignore:the language model alone is adapted:UserWarning"),
]
KEPT: dict[str, dict[str, Any]] = results("models")["families"]
WHOLE = ("llama", "gpt2", "qwen3_moe", "mamba", "qwen3_5")  # a kind each


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "run `python -m scripts.models`"


def test_every_family_is_kept_and_stands_in_it() -> None:
    assert list(KEPT) == list(FAMILIES)
    assert [name for name in FAMILIES if f"| `{name}` |" not in PAGE.read_text()] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_does_what_its_row_says(name: str, tmp_path: Path) -> None:
    """The layers that are taken, or that they are refused, and a start that is the base's policy."""
    tiny, kept = make(name, tmp_path / "model"), KEPT[name]
    found = selected(tiny, ALL_LINEAR)
    assert found.get("layers") == kept[ALL_LINEAR].get("layers")
    assert bool(found.get("left_out")) == bool(kept[ALL_LINEAR].get("left_out"))
    targets: Any = list(FAMILIES[name].targets) or ALL_LINEAR
    if FAMILIES[name].targets:
        assert "layers" not in found, "all-linear is taken now: leave the names out"
    if verdict(kept) != "no":
        assert starts(tiny, targets, torch.float32, METHODS[0])


@pytest.mark.parametrize("name", WHOLE)
def test_a_kind_is_certified_trained_saved_and_loaded(name: str, tmp_path: Path) -> None:
    tiny = make(name, tmp_path / "model")
    targets: Any = list(FAMILIES[name].targets) or ALL_LINEAR
    assert prepared(tiny, targets, METHODS[0], tmp_path / "made")
    found = stepped(tiny, targets, tmp_path)
    assert {key: KEPT[name][key] for key in found} == found


def test_a_verdict_is_yes_only_where_everything_holds() -> None:
    held = next(found for found in KEPT.values() if verdict(found) == "**yes**")
    for key, value in (*((key, False) for key in HELD), ("exact", ["float32"]), ("merged", "x"), ("trains", "x")):
        changed = copy.deepcopy(held)
        changed[key] = value
        assert verdict(changed) == "in part", key
    assert verdict({**held, "by name": held[ALL_LINEAR]}) == "by name"
    assert verdict({ALL_LINEAR: {"refused": "x"}}) == "no"


def test_a_message_is_told_without_what_is_the_tiny_models_own() -> None:
    line = "leaves out 6 bare parameters (x.weight), the first is model.a.weight: 82% of the model (llava)"
    assert generic(line, "llava") == ("leaves out … bare parameters (x.weight), the first is …: …% of the model (…)")
