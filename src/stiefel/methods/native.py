"""PEFT's other adapters, as the settings that PEFT reads, with what it leaves to its caller made explicit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from .layer import require_rank
from .method import Claims, Shape, Wanted, peft_method
from .option import Names, Positive, Share, Value, Whole
from .papers import ADALORA, IA3, LN_TUNING, MISS, VERA

# The layers whose input is a feed-forward block's inner activation, in the models that transformers has.
FEEDFORWARD = ("down_proj", "mlp.c_proj", "dense_4h_to_h", "fc2", "fc_out", "w2")


def initial_rank(r: int, options: Mapping[str, Value]) -> int:
    """AdaLoRA's rank at the start, which falls to r on average over the layers."""
    given = int(options["init_r"])
    if given and given <= r:
        raise UserError(
            f"init_r = {given} is not above the rank, {r}",
            "AdaLoRA starts at init_r and cuts it to the rank: there would be nothing to allocate",
            f"init_r of {r + 1} or more, or 0 for 1.5 times the rank",
        )
    return given or max(r + 1, round(1.5 * r))


@peft_method(
    "peft",
    paper=ADALORA,
    claims=Claims(seeded=True),
    options={
        "init_r": Whole(0, "the rank at the start; 0 means 1.5 times the rank, rounded"),
        "tinit": Share(0.1, "the share of the optimizer steps before the rank begins to fall"),
        "tfinal": Share(0.2, "the share of the optimizer steps, the last ones, at the final ranks"),
        "deltaT": Whole(1, "the optimizer steps between two allocations", least=1),
        "orth_reg_weight": Positive(0.5, "the weight of the orthogonality term in the loss"),
    },
    trains=lambda name, shape, r, options: initial_rank(r, options) * (sum(shape) + 1),
)
def adalora(wanted: Wanted) -> dict[str, Any]:
    """W + s·B·diag(E)·A, E = 0 at the start, s = alpha/init_r; triplets are cut until r a layer are left on average.

    The schedule in steps is set by `training.adalora.plan_budget`, when the length of the run is known.
    """
    rank = initial_rank(wanted.rank, wanted.options)
    for name, shape in wanted.weights.items():
        require_rank(name, (shape[0], shape[1]), rank)
    return {
        "peft_type": "ADALORA",
        "init_r": rank,
        "target_r": wanted.rank,
        "lora_alpha": wanted.alpha,
        "lora_dropout": wanted.dropout,
        "deltaT": wanted.options["deltaT"],
        "orth_reg_weight": wanted.options["orth_reg_weight"],
        "total_step": 1,  # not planned yet
        "init_lora_weights": True,
        "fan_in_fan_out": wanted.conv1d,
    }


@peft_method("peft", paper=MISS, unused=frozenset({"alpha"}), trains=lambda name, shape, r, options: r * shape[0])
def miss(wanted: Wanted) -> dict[str, Any]:
    """Wx + Dᵀ·Σ_b x_b with D (r, out) = 0 at the start, shared by all the shards x_b of r inputs each."""
    if wanted.conv1d:
        raise UserError(
            "miss cannot stand on GPT-2's Conv1D layers",
            "PEFT has it for linear layers (out, in) alone",
            "another method, or leave these layers out of the targets",
        )
    for name, shape in wanted.weights.items():
        if wanted.rank > shape[1]:
            raise UserError(
                f"rank {wanted.rank} is larger than {name} {shape} allows",
                f"a shard would hold more inputs than the layer's {shape[1]}",
                f"use a rank of at most {shape[1]}, or leave this layer out of the targets",
            )
    return {"peft_type": "MISS", "r": wanted.rank, "miss_dropout": wanted.dropout, "init_weights": True}


@peft_method(
    "peft",
    paper=VERA,
    claims=Claims(seeded=True),
    options={"d_initial": Positive(0.1, "the value that d starts at")},
    unused=frozenset({"alpha"}),
    trains=lambda name, shape, r, options: shape[0] + r,
)
def vera(wanted: Wanted) -> dict[str, Any]:
    """W + diag(b)·B·diag(d)·A with b (out,) = 0 and d (r,) trained; A and B random, frozen, shared by all layers."""
    return {
        "peft_type": "VERA",
        "r": wanted.rank,
        "vera_dropout": wanted.dropout,
        "projection_prng_key": wanted.seed,
        "save_projection": True,
        "d_initial": wanted.options["d_initial"],
        "init_weights": True,
        "fan_in_fan_out": wanted.conv1d,
    }


def is_feedforward(name: str, options: Mapping[str, Value]) -> bool:
    """True for a layer whose input, and not its output, IA³ scales."""
    return re.fullmatch(feedforward_pattern(options), name) is not None


def feedforward_pattern(options: Mapping[str, Value]) -> str:
    """The names of these layers, as PEFT reads them."""
    given = str(options["feedforward"])
    words = FEEDFORWARD if given == "auto" else tuple(given.split(","))
    return rf"(.*\.)?({'|'.join(re.escape(word) for word in words)})"


def ia3_count(name: str, shape: Shape, r: int, options: Mapping[str, Value]) -> int:
    """One number an output, or an input of a feed-forward layer."""
    return shape[1] if is_feedforward(name, options) else shape[0]


@peft_method(
    "peft",
    paper=IA3,
    options={
        "feedforward": Names("auto", "the layers whose input is scaled; auto knows the usual names, as down_proj"),
    },
    unused=frozenset({"rank", "alpha", "dropout"}),
    trains=ia3_count,
)
def ia3(wanted: Wanted) -> dict[str, Any]:
    """`l ⊙ Wx`, and `W(l ⊙ x)` in the feed-forward blocks' last layers; l = 1 at the start."""
    found = any(is_feedforward(name, wanted.options) for name in wanted.weights)
    if not found and (wanted.everything or wanted.options["feedforward"] != "auto"):
        raise UserError(
            f"no target is called {' or '.join(FEEDFORWARD) if wanted.everything else wanted.options['feedforward']}",
            "IA³ scales the input of the feed-forward blocks' last layers, and the output of all others",
            "name those layers with the option feedforward",
        )
    return {
        "peft_type": "IA3",
        "feedforward_modules": feedforward_pattern(wanted.options),
        "init_ia3_weights": True,
        "fan_in_fan_out": wanted.conv1d,
    }


@peft_method(
    "peft",
    paper=LN_TUNING,
    unused=frozenset({"rank", "alpha", "dropout", "targets"}),
    stands_on="norms",
    trains=lambda name, shape, r, options: math.prod(shape),
)
def ln_tuning(wanted: Wanted) -> dict[str, Any]:
    """The weights of every normalisation layer train, those of queries and keys and the last one among them."""
    return {"peft_type": "LN_TUNING", "target_modules": sorted({name.rpartition(".")[0] for name in wanted.weights})}
