"""What every method owes the model that it is attached to, measured on a tiny model in memory and on disk."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from ..adapter import FACTORS_FILE, attach, load, lora_layers, prepare, save, trainable_parameters, verify
from ..methods import compose

TYPES = (torch.float32, torch.bfloat16, torch.float16)
RANK, ALPHA = 4, 8
SHAPES = {"square": ("q_proj", 4), "tall": ("up_proj", 4), "wide": ("down_proj", 4), "full rank": ("k_proj", 16)}


@cache
def built() -> Qwen3ForCausalLM:
    """Two Qwen3 layers: q_proj (32, 32), k_proj (16, 32), up_proj (48, 32), down_proj (32, 48)."""
    config = Qwen3Config(
        vocab_size=29,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        initializer_range=0.2,  # logits of order 1, so that a wrong adapter shows
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Qwen3ForCausalLM(config).eval()


def fresh(dtype: torch.dtype = torch.float32) -> Qwen3ForCausalLM:
    """A copy of the model."""
    return copy.deepcopy(built()).to(dtype)


def logits(model: PreTrainedModel) -> Tensor:
    """Of two fixed sequences."""
    with torch.no_grad():
        found: Tensor = model(input_ids=torch.arange(20).view(2, 10)).logits
    return found


def take_steps(model: PreTrainedModel, steps: int = 3) -> None:
    """AdamW on the next token."""
    ids = torch.arange(24).view(2, 12)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()


def factors_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """What PEFT and serving engines see of each target."""
    return {
        f"{name}.{side}": factors["default"].weight.detach().clone()
        for name, layer in lora_layers(model)
        for side, factors in (("A", layer.lora_A), ("B", layer.lora_B))
    }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """The same names and bits."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def start_is_the_base(name: str) -> Iterator[str]:
    """W_eff = W to the bit, with the adapter on and off, in every type and for every kind of shape."""
    for dtype in TYPES:
        for shape, (target, rank) in SHAPES.items():
            for scaling in (1, 2):
                model = fresh(dtype)
                base = logits(model)
                adapted = attach(model, name, r=rank, alpha=scaling * rank, target_modules=[target])
                if not torch.equal(logits(adapted), base):
                    yield f"{dtype}, {shape}, s = {scaling}: the start moves the policy"
                with adapted.disable_adapter():
                    if not torch.equal(logits(adapted), base):
                        yield f"{dtype}, {shape}, s = {scaling}: the disabled adapter is not the base"


def base_stays(name: str) -> Iterator[str]:
    """Training moves the policy and what is declared, and nothing of the base by a bit."""
    for dtype in TYPES[:2]:
        model = fresh(dtype)
        base, before = logits(model), {id(p): p.detach().clone() for p in model.parameters()}
        weights = list(model.parameters())
        adapted = attach(model, name, r=RANK, alpha=ALPHA)
        take_steps(adapted)
        if torch.equal(logits(adapted), base):
            yield f"{dtype}: three steps did not move the policy"
        if not all(torch.equal(p, before[id(p)]) for p in weights):
            yield f"{dtype}: training changed a weight of the base"
        with adapted.disable_adapter():
            if not torch.equal(logits(adapted), base):
                yield f"{dtype}: the disabled adapter is not the base after training"


def trains_what_it_says(name: str) -> Iterator[str]:
    """r·(in + out) numbers a matrix, in float32."""
    adapted = attach(fresh(torch.bfloat16), name, r=3, alpha=6)
    shapes = [layer.get_base_layer().weight.shape for _, layer in lora_layers(adapted)]
    expected = sum(3 * (m + n) for m, n in shapes)
    if not compose(name).frozen_a and trainable_parameters(adapted) != expected:
        yield f"{trainable_parameters(adapted):,} numbers train, r·(in + out) is {expected:,}"
    types = {p.dtype for p in adapted.parameters() if p.requires_grad}
    if types != {torch.float32}:
        yield f"trained factors are {types}"


def depends_on_its_seed_alone(name: str) -> Iterator[str]:
    """Not on the process's random state or default type, nor on which other layers are targets."""
    whole = factors_of(attach(fresh(), name, r=RANK))
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.get_rng_state()
        again = factors_of(attach(fresh(), name, r=RANK))
        if not torch.equal(torch.get_rng_state(), before):
            yield "it draws from torch's global generator; draw from layer.generator()"
    if not same(whole, again):
        yield "the same seed gave other factors in another random state"
    part = factors_of(attach(fresh(), name, r=RANK, target_modules=["up_proj", "k_proj"]))
    if not same(part, {key: whole[key] for key in part}):
        yield "a layer's factors depend on which others are targets"
    model = fresh()
    torch.set_default_dtype(torch.float64)
    try:
        other = factors_of(attach(model, name, r=RANK))
    finally:
        torch.set_default_dtype(torch.float32)
    if not same(whole, other):
        yield "its factors depend on torch's default type"


def survives_the_disk(name: str) -> Iterator[str]:
    """Saved and loaded it is the same policy; made from the files it is the same adapter; its certificate holds."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        fresh().save_pretrained(place / "base")
        adapted = attach(fresh(), name, r=RANK, alpha=ALPHA, cache=False)
        save(adapted, place / "attached")
        prepare(str(place / "base"), name, place / "streamed", r=RANK, alpha=ALPHA, cache=False)
        if not same(*(load_file(place / way / FACTORS_FILE) for way in ("attached", "streamed"))):
            yield "`stiefel init` and stiefel.attach give other factors"
        for check in verify(place / "streamed", str(place / "base"), method=compose(name).name):
            if not check.holds:
                yield f"the certificate: {check.name}: {check.detail}"
        take_steps(adapted)
        save(adapted, place / "trained")
        if not torch.equal(logits(load(fresh(), place / "trained")), logits(adapted)):
            yield "a trained adapter comes back as another policy"


CONTRACT: dict[str, Callable[[str], Iterator[str]]] = {
    "the start is the base": start_is_the_base,
    "the base stays": base_stays,
    "what trains": trains_what_it_says,
    "its seed alone": depends_on_its_seed_alone,
    "on disk": survives_the_disk,
}
