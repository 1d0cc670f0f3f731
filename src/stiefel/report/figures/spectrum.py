"""Figure 9: the singular values of W's MLP projections, before any training."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import altair as alt

from ..evidence import Evidence
from ..inspections import Matrix
from ..series import Series
from ..vertical import Vertical, vertical
from ..words import listed
from . import captions
from .aligned import depths_from_one
from .alignment import reason
from .drawing import Drawing, Missing
from .marks import Mark, mark, numbers
from .panels import Across, Look, Panel, finished, tooltip

MLP = "mlp."  # in a matrix's kind
SHAPES = ("triangle-up", "circle", "triangle-down")


@dataclass(frozen=True)
class Parts(Panel):
    """A column a projection, and in it a mark for each part of the spectrum, told apart by its shape."""

    title: str
    marks: tuple[Mark, ...]
    vertical: Vertical

    def chart(self, look: Look) -> alt.LayerChart:
        """Marks in the page's ink: no method has to do with W."""
        parts = list(dict.fromkeys(mark.series.label for mark in self.marks))
        names = tuple(dict.fromkeys(str(mark.x) for mark in self.marks))
        legend = alt.Legend(orient="top", columns=len(parts) if look.size else 1, labelLimit=0)
        shape = alt.Shape("series:N", title=None, sort=parts, scale=alt.Scale(domain=parts, range=list(SHAPES)),
                          legend=legend)  # fmt: skip
        points = (
            alt.Chart(self.data)
            .mark_point(filled=True, opacity=1, size=70 if look.size is None else 30)
            .encode(x=Across("", "names", names).x(), y=self.vertical.y("value"), shape=shape)
        )
        if look.size is None:
            points = points.encode(tooltip=tooltip("projection", "mean σ", self.marks))
        return finished([points], look, 190)


def singular_values(evidence: Evidence) -> Drawing | Missing:
    """A panel a layer: means of the leading, of all, and of the trailing singular values of each MLP projection."""
    found: dict[str, list[Matrix]] = {}
    for run in evidence.runs:
        mlp = [matrix for matrix in evidence.matrices.get(run.name, ()) if MLP in matrix.kind and matrix.spectrum]
        if mlp:
            found.setdefault(run.recipe.model.path, mlp)  # W is the same in every run of a model
    if not found:
        if evidence.matrices:
            return Missing("needs MLP projections among the adapter's targets")
        return Missing(reason(evidence, "MLP projections"))
    panels = []
    axis = vertical("log", numbers(means(matrix) for mlp in found.values() for matrix in mlp))
    for model, mlp in found.items():
        for depth in depths_from_one(mlp):
            marks = tuple(mark for matrix in mlp if matrix.depth == depth for mark in means(matrix))
            panels.append(Parts(f"{model + ', ' if len(found) > 1 else ''}layer {depth + 1}", marks, axis))
    caption = captions.joined(
        f"Mean singular values of the MLP projections of {listed(found)} before training: of the k leading, of all "
        "positive and of the k trailing ones, in the first, the middle and the last layer, counted from 1 as in the "
        "RLPO paper; logarithmic axis.",
        "k is the rank of the adapters.",
    )
    return Drawing(tuple(panels), min(3, len(panels)), caption, evidence.styles)


def means(matrix: Matrix) -> list[Mark]:
    """The three means of one matrix."""
    assert matrix.spectrum is not None
    assert matrix.singular_values_bottom is not None
    k, name = len(matrix.singular_values), matrix.kind.rpartition(".")[2]
    parts = {
        f"{k} leading": fmean(matrix.singular_values),
        "all": matrix.spectrum["mean"],
        f"{k} trailing": fmean(matrix.singular_values_bottom),
    }
    return [mark(Series(part), name, [value]) for part, value in parts.items()]
