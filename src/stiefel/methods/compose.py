"""A method's name → its parts: a start, structures and an optimizer that compose, or a method that stands alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..own_code import is_own
from .method import Method, Shape, Standing, Wanted
from .option import Option, Value
from .own import own_start, unseen
from .random import lora
from .registry import find_method
from .settings import resolve


@dataclass(frozen=True)
class Composition:
    """What a name such as `rlpo`, `rlpo+dora` or `ia3` stands for: a start with what changes it, or one that is alone.

    `alone` is a record of kind `peft` or `weights`; exactly one of `start` and `alone` is there.
    """

    start: Method | None
    structures: tuple[Method, ...] = ()
    optimizer: Method | None = None
    alone: Method | None = None

    @property
    def parts(self) -> tuple[Method, ...]:
        """Every record of it."""
        found = (self.start, *self.structures, self.optimizer, self.alone)
        return tuple(part for part in found if part is not None)

    @property
    def name(self) -> str:
        """The parts in a fixed order; the start `lora` is named only where it stands by itself."""
        changes = [part.name for part in (*self.structures, self.optimizer) if part is not None]
        if self.start is lora and changes:
            return "+".join(changes)
        return "+".join([self.main.name, *changes])

    @property
    def main(self) -> Method:
        """The start, or the method that stands alone."""
        main = self.start or self.alone
        assert main is not None
        return main

    @property
    def anchored(self) -> bool:
        """True where B₀A₀ ≠ 0, so that W + s(BA − B₀A₀) is trained."""
        return self.main.anchored

    @property
    def width(self) -> int:
        """A LoRA is saved with the rank width·r."""
        return 2 if self.anchored else 1

    @property
    def is_peft(self) -> bool:
        """True where the model is wrapped by PEFT, so that switching the adapter off gives the base."""
        return self.main.kind != "weights"

    @property
    def frozen_a(self) -> bool:
        """True where A does not train."""
        return self.optimizer is not None and self.optimizer.name == "lora_fa"

    @property
    def stands_on(self) -> Standing:
        """Which of the base's weights it changes."""
        return self.main.stands_on

    @property
    def options(self) -> dict[str, Option]:
        """The options of all parts; no two parts share a name."""
        return {name: option for part in self.parts for name, option in part.options.items()}

    def has(self, name: str) -> bool:
        """True where a part has this name."""
        return any(part.name == name for part in self.parts)

    def resolve_options(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Every option's value, parsed, with the defaults filled in; an unknown name or value raises."""
        return resolve(self.name, self.options, given)

    def lora_alpha(self, alpha: int) -> int | float:
        """The alpha of the saved LoRA, whose rank is width·r, so that s stays."""
        if self.anchored and self.has("rslora"):
            return math.sqrt(2) * alpha
        return self.width * alpha

    def scaling(self, r: int, alpha: int) -> float:
        """The s of s·BA, as PEFT computes it of the saved rank and alpha: alpha/r, or alpha/√r for rsLoRA."""
        rank = self.width * r
        return self.lora_alpha(alpha) / (math.sqrt(rank) if self.has("rslora") else rank)

    def config(self, wanted: Wanted) -> dict[str, Any]:
        """PEFT's settings but for the targets, as adapter_config.json spells them."""
        if self.alone is not None:
            assert self.alone.config is not None
            return self.alone.config(wanted)
        config = {
            "peft_type": "LORA",
            "r": self.width * wanted.rank,
            "lora_alpha": self.lora_alpha(wanted.alpha),
            "lora_dropout": wanted.dropout,
            "init_lora_weights": True,
            "fan_in_fan_out": wanted.conv1d,
            "use_rslora": False,
            "use_dora": False,
        }
        for structure in self.structures:
            assert structure.config is not None
            config |= structure.config(wanted)
        return config

    def bibtex(self) -> str:
        """The entries of its papers, each once."""
        papers = [part.paper for part in self.parts if part.paper is not None]
        if not papers:
            raise UserError(f"{self.name} names no paper", "its record has none", "add paper=… to its @stiefel.method")
        return "\n".join({paper.key: paper.bibtex() for paper in papers}.values())


def compose(name: str) -> Composition:
    """The composition of names joined by "+", in any order; a structure or an optimizer alone takes the start `lora`.

    A part `module:function` is a start of the user's own, and is imported. Raises UserError for an unknown part and for
    a combination that has no meaning.
    """
    return joined(name, [own_start(word) if is_own(word) else find_method(word) for word in words_of(name)])


def recorded(name: str, *, anchored: bool, options: Mapping[str, Value]) -> Composition:
    """The composition that a certificate names: of a start of one's own no more than what is written there.

    Nothing is imported because a file names it.
    """
    known = {word: find_method(word) for word in words_of(name) if not is_own(word)}
    others = {option for part in known.values() for option in part.options}
    own = {key: value for key, value in options.items() if key not in others}
    return joined(name, [known[word] if word in known else unseen(word, anchored, own) for word in words_of(name)])


def words_of(name: str) -> list[str]:
    """`a + b` → a, b."""
    return [word.strip() for word in name.split("+")]


def joined(name: str, parts: Sequence[Method]) -> Composition:
    """The composition of records; raises UserError for a combination that has no meaning."""
    of_kind = {kind: [part for part in parts if part.kind == kind] for kind in ("start", "structure", "optimizer")}
    alone = [part for part in parts if part.kind in ("peft", "weights")]
    if alone and len(parts) > 1:
        others = ", ".join(part.name for part in parts if part is not alone[0]) or alone[0].name
        raise meaningless(
            name,
            f"{alone[0].name} has no factors A and B that {others} could set, reshape or train",
            f"{alone[0].name} by itself",
        )
    for kind, found in of_kind.items():
        names = [part.name for part in found]
        if len(set(names)) < len(names):
            raise meaningless(name, f"{names[0]} is there twice", f"{names[0]} once")
        if len(found) > 1 and kind != "structure":
            raise meaningless(name, f"{' and '.join(names)} are two {kind}s, and a method has one", " or ".join(names))
    start = of_kind["start"][0] if of_kind["start"] else lora
    optimizer = of_kind["optimizer"][0] if of_kind["optimizer"] else None
    composition = (
        Composition(None, alone=alone[0])
        if alone
        else Composition(start, tuple(sorted(of_kind["structure"], key=lambda part: part.name)), optimizer)
    )
    if composition.anchored and composition.frozen_a:
        raise meaningless(
            name,
            f"with A frozen at A₀, {start.name}'s B₀ drops out of W + s(BA₀ − B₀A₀), which is a LoRA on A₀ alone",
            "a start with B₀ = 0, such as rlpo+lora_fa for the top directions or rlmo+lora_fa for the bottom ones",
        )
    return composition


def meaningless(name: str, why: str, instead: str) -> UserError:
    """The error for parts that do not fit together."""
    return UserError(f"{name!r} is not a method", why, instead)


def unused_settings(composition: Composition, options: Mapping[str, Value] | None = None) -> frozenset[str]:
    """Which of rank, alpha, dropout and targets it has no use for; `options` where they were chosen.

    The sparse method uses the rank for GeoRA's mask alone.
    """
    resolved = composition.resolve_options(options or {})
    unused = composition.main.unused
    return unused | {"rank"} if resolved.get("mask", "geora") != "geora" else unused


def used_settings(
    method: str,
    *,
    rank: int,
    alpha: int,
    dropout: float,
    targets: str | list[str],
    options: Mapping[str, Value] | None = None,
) -> dict[str, Any]:
    """The keywords for `attach` that this method has a use for."""
    unused = unused_settings(compose(method), options)
    given: dict[str, tuple[str, Any]] = {
        "rank": ("r", rank),
        "alpha": ("alpha", alpha),
        "dropout": ("dropout", dropout),
        "targets": ("target_modules", targets),
    }
    return {keyword: value for name, (keyword, value) in given.items() if name not in unused}


def trainable_count(
    composition: Composition,
    shapes: Mapping[str, Shape],
    r: int,
    options: Mapping[str, Value] | None = None,
) -> int | None:
    """How many numbers train, in closed form, on weights of these shapes: (out, in) of matrices, by name.

    None for the sparse method with GeoRA's mask, where the weights decide how two masks overlap.
    """
    resolved = composition.resolve_options(options or {})
    total = 0
    for name, shape in shapes.items():
        for part in composition.parts:
            count = part.trains(name, shape, r, resolved)
            if count is None:
                return None
            total += count
    return total
