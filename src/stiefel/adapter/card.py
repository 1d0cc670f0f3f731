"""An adapter's model card, README.md: what it is, what it stands on, how it was trained and how it is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from ..artifacts import CARD, write_text
from ..methods import Method
from .certificate import Certificate

TEMPLATE = Path(__file__).parent / "card.md.j2"


@dataclass(frozen=True)
class Trained:
    """How an adapter was trained: what its recipe says, in words, and what was measured, by task."""

    settings: Sequence[tuple[str, str]]
    scores: Mapping[str, Any] = field(default_factory=dict)  # task → its before, after, difference, as eval.json has it


def write_card(directory: Path, certificate: Certificate, base: str, trained: Trained | None = None) -> None:
    """Write README.md of an adapter on a base of that public name; the same adapter gives the same bytes."""
    write_text(directory / CARD, card(certificate, base, trained))


def card(certificate: Certificate, base: str, trained: Trained | None = None) -> str:
    """The card's text."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False, keep_trailing_newline=True
    )
    environment.filters |= {"interval": interval, "gain": gain}
    composition = certificate.composition
    parts = composition.parts
    hub_id = "/" in base
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        base=base,
        hub_id=hub_id,
        base_argument=argument(base),
        method=certificate.method,
        parts=[part for part in parts if part.definition],
        peft=composition.is_peft,
        anchored=certificate.anchored,
        servable=composition.start is not None and not composition.has("dora"),
        tags=["stiefel", *(["lora"] if composition.start is not None else []), *tags(parts)],
        rank=certificate.rank,
        alpha=certificate.alpha,
        scaling=certificate.scaling if None not in (certificate.rank, certificate.alpha) else 0.0,
        targets=certificate.targets if isinstance(certificate.targets, str) else ", ".join(certificate.targets),
        options=sorted(certificate.options.items()),
        seed=certificate.seed,
        fingerprint=fingerprint(certificate),
        count=len(certificate.bases),
        layers=certificate.layers,
        versions=", ".join(f"{name} {version}" for name, version in certificate.versions.items()),
        citations=list(dict.fromkeys(part.paper.bibtex() for part in parts if part.paper is not None)),
        trained=trained,
    )


def argument(base: str) -> str:
    """What transformers is given to load the base."""
    if base == "nano":
        return "NANO_PATH"
    return f'"{base}"' if "/" in base else f'"the directory of {base or "the base"}"'


def tags(parts: Sequence[Method]) -> list[str]:
    """The names of the method's parts, as a hub's page finds them."""
    return [part.name for part in parts if part.name != "lora" and ":" not in part.name]


def fingerprint(certificate: Certificate) -> str:
    """One digest of all that the adapter stands on."""
    lines = sorted(f"{base.name} {base.fingerprint}" for base in certificate.bases)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def interval(score: Mapping[str, float]) -> str:
    """A score with its interval."""
    return f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def gain(score: Mapping[str, float]) -> str:
    """A difference with its interval."""
    return f"{score['mean']:+.3f} [{score['low']:+.3f}, {score['high']:+.3f}]"
