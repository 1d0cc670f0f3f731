"""Models that read images: the language model alone is adapted, in memory and from disk alike, and said to be."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    BartConfig,
    CLIPVisionConfig,
    Gemma3Config,
    LlamaConfig,
    LlavaConfig,
    Qwen2VLConfig,
    T5Config,
    Wav2Vec2Config,
)

from stiefel import attach, load, prepare, save
from stiefel.adapter import verify
from stiefel.errors import UserError
from stiefel.model.modalities import outside_language
from stiefel.model.skeleton import build_skeleton
from stiefel.model.weights import load_model

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SEEN = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
PATCHES = {"image_size": 28, "patch_size": 14}


def gemma() -> Any:
    text = {"model_type": "gemma3_text", "head_dim": 16, **SIZES}
    return Gemma3Config(text_config=text, vision_config={**SEEN, **PATCHES}, mm_tokens_per_image=4)


def qwen() -> Any:
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    return Qwen2VLConfig(
        text_config={**SIZES, "rope_parameters": rope},
        vision_config={"embed_dim": 32, "hidden_size": 32, "depth": 1, "num_heads": 2},
        tie_word_embeddings=False,
    )


def llava() -> Any:
    seen = CLIPVisionConfig(**SEEN, **PATCHES, projection_dim=32)
    return LlavaConfig(text_config=LlamaConfig(**SIZES), vision_config=seen)


CONFIGS = {
    "gemma3": (gemma, AutoModelForCausalLM),
    "qwen2_vl": (qwen, AutoModelForImageTextToText),
    "llava": (llava, AutoModelForImageTextToText),
}


@pytest.fixture(params=CONFIGS)
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[], Any]]:
    """A model on disk, and what loads it."""
    config, kind = CONFIGS[request.param]
    torch.manual_seed(0)
    kind.from_config(config()).save_pretrained(tmp_path / "model")
    return tmp_path / "model", lambda: kind.from_pretrained(tmp_path / "model").eval()


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"], r".*\.(q_proj|v_proj|qkv)"], ids=str)
def test_the_language_model_alone_is_adapted_and_both_ways_alike(
    targets: Any, directory: tuple[Path, Callable[[], Any]], tmp_path: Path
) -> None:
    path, loaded = directory
    told: list[str] = []
    certificate = prepare(
        str(path), "rlpo", tmp_path / "disk", r=2, alpha=4, target_modules=targets, notice=told.append
    )
    assert all("language_model" in layer.name for layer in certificate.layers)
    model = loaded()
    towers = [name for name, module in model.named_modules() if name in outside_language(model)]
    shared = [name for name in towers if name.endswith(("q_proj", "v_proj", "qkv"))]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        adapted = attach(model, "rlpo", r=2, alpha=4, target_modules=targets)
    said = [str(each.message) for each in warned if "language model alone" in str(each.message)]
    assert said == told
    assert bool(said) is (
        targets == "all-linear"
        or bool([n for n in shared if n.endswith("q_proj")])
        or ("qkv" in targets and bool(shared))
    )
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".language_model." in name for name in trained)
    save(adapted, tmp_path / "memory")
    first, second = (load_file(tmp_path / place / "adapter_model.safetensors") for place in ("disk", "memory"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(check.holds for check in verify(tmp_path / "disk", str(path)))
    load(loaded(), tmp_path / "disk")


def test_norms_are_the_language_models_too(directory: tuple[Path, Callable[[], Any]]) -> None:
    adapted = attach(directory[1](), "ln_tuning")
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".language_model." in name for name in trained)


def test_a_tower_that_is_named_is_refused_by_name_both_ways(
    directory: tuple[Path, Callable[[], Any]], tmp_path: Path
) -> None:
    path, loaded = directory
    model = loaded()
    tower = next(
        name
        for name, module in model.named_modules()
        if type(module) is torch.nn.Linear and name in outside_language(model)
    )
    for targets in ([tower], [tower, "v_proj"], tower.replace(".", r"\.")):
        with pytest.raises(UserError, match="outside of the language model") as raised:
            attach(loaded(), "rlpo", r=2, alpha=4, target_modules=targets)
        assert tower in raised.value.what
        with pytest.raises(UserError, match="outside of the language model"):
            prepare(str(path), "rlpo", tmp_path / "disk", r=2, alpha=4, target_modules=targets)
    assert not (tmp_path / "disk").exists()


def test_a_model_of_text_alone_has_nothing_outside(make_model: Any) -> None:
    assert outside_language(make_model()) == set()


def test_what_runs_text_alone_says_so(tmp_path: Path) -> None:
    AutoModelForImageTextToText.from_config(llava()).save_pretrained(tmp_path / "llava")
    with pytest.raises(UserError, match="images and text") as raised:
        load_model(str(tmp_path / "llava"))
    assert "llava" in raised.value.what
    Wav2Vec2Config().save_pretrained(tmp_path / "sounds")
    with pytest.raises(UserError, match="wav2vec2"):
        build_skeleton(tmp_path / "sounds")


ENCODERS = {
    "bart": BartConfig(
        vocab_size=64, d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=48, decoder_ffn_dim=48
    ),
    "t5": T5Config(vocab_size=64, d_model=32, d_kv=16, d_ff=48, num_layers=1, num_heads=2),
}


@pytest.mark.parametrize("method", ["rlpo", "full"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_decoder_is_refused_both_ways(kind: str, method: str, tmp_path: Path) -> None:
    """Of BART transformers would make a causal model too, of its decoder, and nobody would hear of the encoder."""
    model = AutoModelForSeq2SeqLM.from_config(ENCODERS[kind])
    with pytest.raises(UserError, match=f"ForConditionalGeneration is an encoder-decoder .{kind}"):
        attach(model, method)
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match=f"is an encoder-decoder .{kind}"):
        build_skeleton(tmp_path / "model")
    with pytest.raises(UserError, match=f"is an encoder-decoder .{kind}"):
        load_model(str(tmp_path / "model"))


def test_the_decoder_alone_is_a_causal_model(tmp_path: Path) -> None:
    AutoModelForCausalLM.from_config(ENCODERS["bart"]).save_pretrained(tmp_path / "model")
    prepare(str(tmp_path / "model"), "rlpo", tmp_path / "adapter", r=2, alpha=4)
    assert not load_model(str(tmp_path / "model")).config.is_encoder_decoder
    assert all(check.holds for check in verify(tmp_path / "adapter", str(tmp_path / "model")))
