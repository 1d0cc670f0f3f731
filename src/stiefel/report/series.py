"""What is compared: a method, in a variant where other settings vary too; with its name, order and colour."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..recipe import by_key
from .runs import WITHIN, Run


@dataclass(frozen=True)
class Style:
    """How a method's line is drawn; `dash` as in SVG, empty for a solid line."""

    colour: str
    dash: tuple[int, ...] = ()


# Okabe and Ito's palette and a grey that is no closer to any of them, for colour-blind readers too, than they are to
# each other. Its black and yellow are left out: one is lost on a dark page, the other on a white one. A method keeps
# its line in every chart, whatever stands beside it.
# Blues never look at W, vermillion and orange are anchored at W's top and tail, grey is GeoRA's family; dashed green
# and purple are PEFT's other adapters and the model's own weights.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY = "#646464"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)
STYLES = {
    "lora": Style(BLUE),
    "gaussian": Style(SKY),
    "random_orthonormal": Style(BLUE, (4, 4)),
    "dct": Style(SKY, (4, 4)),
    "wavelet": Style(SKY, (1, 3)),
    "rlpo": Style(GREEN),
    "rlmo": Style(PURPLE),
    "olora": Style(VERMILLION, (4, 4)),
    "olora_tail": Style(ORANGE, (4, 4)),
    "pissa": Style(VERMILLION),
    "milora": Style(ORANGE),
    "geora": Style(GREY),
    "geora_random": Style(GREY, (4, 4)),
    "geora_tail": Style(GREY, (1, 3)),
    "geora_spectral": Style(GREY, (10, 4)),
    "geora_euclidean": Style(GREY, (6, 2, 1, 2)),
    "rslora": Style(BLUE, (1, 3)),
    "dora": Style(BLUE, (10, 4)),
    "lora_plus": Style(BLUE, (6, 2, 1, 2)),
    "lora_fa": Style(SKY, (10, 4)),
    "adalora": Style(GREEN, (4, 4)),
    "miss": Style(GREEN, (1, 3)),
    "vera": Style(GREEN, (10, 4)),
    "ia3": Style(PURPLE, (4, 4)),
    "ln_tuning": Style(PURPLE, (1, 3)),
    "full": Style(PURPLE, (10, 4)),
    "sparse": Style(PURPLE, (6, 2, 1, 2)),
}
# No dashes of STYLES are among these.
DASHES = ((6, 3), (2, 2), (8, 2, 2, 2), (12, 4))  # those after the first, solid, variant
# A start that is composed with others keeps its colour, and its dashes are followed by theirs.
CHANGES = {"rslora": (5, 1), "dora": (9, 1), "lora_plus": (1, 1), "lora_fa": (3, 1)}

# These three are the axes of the table; they are not part of a variant's name.
AXES = ("adapter.method", *WITHIN)


def style_of(method: str) -> Style:
    """A method's fixed style; one that is not listed gets a dashed line in a colour that its name alone decides."""
    if method in STYLES:
        return STYLES[method]
    parts = method.split("+")
    starts = [part for part in parts if part not in CHANGES] or ["lora"]  # not named where something changes it
    if len(starts) == 1 and starts[0] in STYLES:
        start = STYLES[starts[0]]
        dashes = [length for change in CHANGES if change in parts for length in CHANGES[change]]
        return Style(start.colour, (*start.dash, *dashes))
    digest = zlib.crc32(method.encode())
    return Style(PALETTE[digest % len(PALETTE)], DASHES[digest // len(PALETTE) % len(DASHES)])


@dataclass(frozen=True)
class Series:
    """One line of a chart."""

    method: str
    variant: str = ""

    @property
    def label(self) -> str:
        """The method's name, with the settings that tell this variant from others."""
        return f"{self.method} ({self.variant})" if self.variant else self.method


def series_of(runs: Sequence[Run]) -> dict[str, Series]:
    """Run name → its series. Runs of one method that differ in more than rate and seed are never averaged."""
    settings = {run.name: {**by_key(run.recipe.model_dump()), "by": run.manifest.trained_by} for run in runs}
    varying = {
        key
        for method in {run.method for run in runs}
        for key in settings[runs[0].name]
        if key not in AXES and len({repr(settings[run.name][key]) for run in runs if run.method == method}) > 1
    }
    return {
        run.name: Series(
            run.method,
            ", ".join(f"{key.rpartition('.')[2]} {shown(settings[run.name][key])}" for key in sorted(varying)),
        )
        for run in runs
    }


def label_of(runs: Sequence[Run]) -> dict[str, str]:
    """Name → what tells it from runs that differ in more than the seed: its series, and its rate where rates vary."""
    series, rates = series_of(runs), {run.lr for run in runs}
    return {run.name: series[run.name].label + (f" at {run.lr:g}" if len(rates) > 1 else "") for run in runs}


def shown(value: Any) -> str:
    """A setting's value as part of a name."""
    if isinstance(value, dict):
        return " ".join(f"{key}={entry}" for key, entry in value.items()) or "default"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def ordered(series: Iterable[Series]) -> list[Series]:
    """Without repetitions: the listed methods in their order, each before what is composed with it, then the others."""
    places = {name: place for place, name in enumerate(STYLES)}

    def place(one: Series) -> int:
        return places.get(one.method.partition("+")[0], len(places))

    return sorted(set(series), key=lambda one: (place(one), one.method, one.variant))


def styles(series: Sequence[Series]) -> dict[Series, Style]:
    """The style of every series; where there are variants, the colour says the method's and the dashes the variant."""
    variants = sorted({one.variant for one in series})
    if len(variants) == 1:
        return {one: style_of(one.method) for one in series}
    patterns = ((), *DASHES)
    colours = {one.method: style_of(one.method).colour for one in ordered(series)}
    # methods of one colour share the patterns out among them, the first as if it were alone
    offsets = {
        method: len(variants) * [other for other in colours if colours[other] == colour].index(method)
        for method, colour in colours.items()
    }
    return {
        one: Style(colours[one.method], patterns[(offsets[one.method] + variants.index(one.variant)) % len(patterns)])
        for one in series
    }
