"""Methods that train the model's own weights: all of them, or the entries in a mask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import torch
from torch import Tensor

from .geora import euclidean_mask, spectral_mask
from .layer import Layer
from .method import Claims, Method, Shape
from .option import Choice, Fraction, Value
from .papers import GEORA, PEFT_FOR_RLVR
from .thresholds import smallest


def sparse_mask(layer: Layer) -> Tensor:
    """Which entries of W (out, in) train: M_Spec ∪ M_Euc of GeoRA, the smallest |W|, or random ones.

    `magnitude` and `random` keep exactly ⌊density·mn⌋ entries; of equal magnitudes the first in row order.
    """
    match layer.choice("mask"):
        case "geora":
            return spectral_mask(layer) | euclidean_mask(layer)
        case "magnitude":
            return exactly_smallest(layer.W, layer.fraction("density"))
        case _:
            size = layer.out_features * layer.in_features
            chosen = torch.randperm(size, generator=layer.generator())[: kept(size, layer.options)]
            mask = torch.zeros(size, dtype=torch.bool)
            mask[chosen] = True
            return mask.view(layer.shape)


def exactly_smallest(W: Tensor, density: float) -> Tensor:
    """1[|W| is among the ⌊density·mn⌋ smallest], the last of those that tie with the largest left out."""
    mask = smallest(W, density)
    surplus = int(mask.count_nonzero()) - kept(W.numel(), {"density": density})
    if surplus:
        magnitudes = W.abs()
        ties = ((magnitudes == magnitudes[mask].max()) & mask).flatten().nonzero().squeeze(1)
        mask.view(-1)[ties[-surplus:]] = False
    return mask


def kept(size: int, options: Mapping[str, Value]) -> int:
    """⌊density·mn⌋, of the density as it is written."""
    return math.floor(Decimal(str(options["density"])) * size)


def sparse_count(name: str, shape: Shape, r: int, options: Mapping[str, Value]) -> int | None:
    """⌊density·mn⌋; how GeoRA's two masks overlap depends on W."""
    return None if options["mask"] == "geora" else kept(math.prod(shape), options)


full = Method(
    name="full",
    kind="weights",
    definition="All weights of the model train; a frozen copy of them is the base.",
    paper=PEFT_FOR_RLVR,
    claims=Claims(base_unchanged=False),
    trains=lambda name, shape, r, options: math.prod(shape),
    unused=frozenset({"rank", "alpha", "dropout", "targets"}),
    stands_on="parameters",
)
sparse = Method(
    name="sparse",
    kind="weights",
    definition="W ⊙ M trains, M a fixed mask; every other entry stays bit-identical, weight decay included.",
    paper=GEORA,
    claims=Claims(base_unchanged=False),
    trains=sparse_count,
    options={
        "mask": Choice(
            "geora",
            "geora: M_Spec ∪ M_Euc, of the rank and rho; magnitude: the smallest |W|; random: uniformly",
            values=("geora", "magnitude", "random"),
        ),
        "rho": Fraction(0.2, "the share of the entries that each of GeoRA's masks keeps"),
        # two masks of 20% that share 4.55% of the entries, as the GeoRA paper reports, make 35.45% together
        "density": Fraction(0.3545, "the share of the entries that the masks magnitude and random keep"),
    },
    unused=frozenset({"alpha", "dropout"}),
    mask=sparse_mask,
)
