"""An adapter's card says what the adapter is, loads it by its own words, and names no place of the machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from stiefel.adapter import attach, certificate_of, load, prepare, save, write_card
from stiefel.artifacts import CARD, CERTIFICATE, read_json
from stiefel.methods import METHODS, STARTS, used_settings
from stiefel.model import public_name
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH


@pytest.fixture(scope="module")
def streamed(tmp_path_factory) -> Path:
    """What `stiefel init nano --method pissa` writes."""
    out = tmp_path_factory.mktemp("streamed") / "adapter"
    prepare("nano", "pissa", out, r=4, alpha=8)
    return out


def test_in_memory_and_streamed_it_is_the_same_text(streamed, tmp_path) -> None:
    save(attach(load_model("nano"), "pissa", r=4, alpha=8), tmp_path / "adapter")
    text = (streamed / CARD).read_text()
    assert text == (tmp_path / "adapter" / CARD).read_text()
    pissa = next(method for method in STARTS if method.name == "pissa")
    assert pissa.definition in text
    assert pissa.paper.bibtex() in text
    assert "| rank r | 4 |" in text
    assert "rank 2r = 8" in text
    assert "no scores" in text
    assert "\n# license: yours to say" in text
    assert "\n\n\n" not in text


def test_its_own_words_load_it(streamed) -> None:
    ours, peft = re.findall(r"```python\n(.*?)```", (streamed / CARD).read_text(), flags=re.DOTALL)
    place: dict[str, object] = {}
    exec(ours.replace("PATH_OF_THIS_DIRECTORY", str(streamed)), place)
    ids = torch.arange(10)[None] % 29
    expected = load(AutoModelForCausalLM.from_pretrained(NANO_PATH), streamed)(ids).logits
    assert torch.equal(place["model"](ids).logits, expected)
    place = {}  # the second block stands alone
    exec(peft.replace("PATH_OF_THIS_DIRECTORY", str(streamed)), place)
    assert torch.equal(place["model"](ids).logits, expected)


@pytest.mark.parametrize("name", [*(method.name for method in METHODS), "rlpo+dora", "random_orthonormal+lora_fa"])
def test_every_method_has_one_without_a_place_of_this_machine(name, make_model, tmp_path) -> None:
    model = make_model()
    model.config._name_or_path = model.name_or_path = str(tmp_path / "private" / "small")
    settings = used_settings(name, rank=4, alpha=8, dropout=0.0, targets="all-linear")
    adapted = attach(model, name, **settings)
    save(adapted, tmp_path / "adapter")
    text = (tmp_path / "adapter" / CARD).read_text()
    for file in (tmp_path / "adapter").glob("*.json"):
        assert str(tmp_path) not in file.read_text(), file.name
    assert str(tmp_path) not in text
    assert f"{certificate_of(adapted).method} on small" in text
    for part in certificate_of(adapted).composition.parts:
        assert part.definition in text
    assert ("PeftModel" in text) == certificate_of(adapted).composition.is_peft


def test_the_fingerprint_is_of_all_that_the_adapter_stands_on(streamed, tmp_path, make_model) -> None:
    printed = re.compile(r"fingerprint \| `([0-9a-f]{16})`")
    other = attach(make_model(), "pissa", r=4, alpha=8)
    write_card(tmp_path, certificate_of(other), "")
    assert printed.search((streamed / CARD).read_text())[1] != printed.search((tmp_path / CARD).read_text())[1]
    assert len(read_json(streamed / CERTIFICATE)["layers"]) == 28


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("nano", "nano"),
        (str(NANO_PATH), "nano"),
        ("", ""),
        ("Qwen/Qwen3-1.7B-Base", "Qwen/Qwen3-1.7B-Base"),
        ("/home/me/models/small", "small"),
        ("./small", "small"),
        ("/c/hub/models--Qwen--Qwen3-1.7B-Base/snapshots/0123abc", "Qwen/Qwen3-1.7B-Base"),
        ("/c/hub/models--a--b/snapshots/0123abc/", "a/b"),
        ("rows/train.jsonl.gz", "rows/train.jsonl.gz"),
    ],
)
def test_a_public_name(place, name) -> None:
    assert public_name(place) == name


def test_a_directory_of_the_form_of_a_hub_id_is_named_by_its_last_name(tmp_path, monkeypatch) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert public_name("models/small") == "small"
