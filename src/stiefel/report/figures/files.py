"""Figures as PNG and PDF for a paper, with their captions."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import vl_convert

from ...artifacts import FIGURES as DIRECTORY
from ...artifacts import writable, write_bytes, write_text
from ..evidence import Evidence
from ..inspections import Progress
from .drawing import SECTIONS, Drawing, Figure, Missing, Section
from .registry import FIGURES

CAPTIONS = "captions.md"
PPI = 300
ENDINGS = (".png", ".pdf")


def write_figures(
    evidence: Evidence, directory: Path, say: Progress, sections: Collection[Section] = SECTIONS
) -> list[Path]:
    """Draw what can be drawn into `directory/figures`; returns the paths, and says why a figure is not among them.

    A metric that was not measured has no curve, and nothing is said of it.

    A picture is 240 or 487 points wide, a column or the width of a two-column page, with letters of 8 points. Pictures
    that an earlier call drew and that have lost their data are removed.
    """
    out = directory / DIRECTORY
    writable(out).mkdir(parents=True, exist_ok=True)
    written, captions = [], []
    for figure in FIGURES:
        if figure.section not in sections:
            continue
        match figure.draw(evidence):
            case Missing(reason):
                if figure.section != "curves":
                    say(f"{figure.label} is not drawn: it {reason}")
                for ending in ENDINGS:
                    (out / f"{figure.name}{ending}").unlink(missing_ok=True)
            case drawing:
                written += write(drawing, out / figure.name)
                captions.append(described(figure, drawing))
    write_text(out / CAPTIONS, "# Captions\n\n" + "\n".join(captions))
    return [*written, out / CAPTIONS]


def write(drawing: Drawing, stem: Path) -> list[Path]:
    """Both pictures, each whole or not at all."""
    spec = drawing.on_paper().to_dict(validate=False)  # made of Altair's own objects; checking the rows takes seconds
    pictures = (vl_convert.vegalite_to_png(spec, scale=1, ppi=PPI), vl_convert.vegalite_to_pdf(spec))
    paths = [stem.with_name(stem.name + ending) for ending in ENDINGS]
    for path, picture in zip(paths, pictures, strict=True):
        write_bytes(path, picture)
    return paths


def described(figure: Figure, drawing: Drawing) -> str:
    """An entry of captions.md."""
    return (
        f"## {figure.name}\n\n**{figure.heading}.** {drawing.caption}{after(figure)}\n\n"
        f"![{figure.heading}]({figure.name}.png)\n"
    )


def after(figure: Figure) -> str:
    """Whose figure it is drawn after, where it is another's."""
    return f" After: {figure.source}." if figure.source else ""
