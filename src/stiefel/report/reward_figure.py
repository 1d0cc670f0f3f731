"""The reward at each learning rate, side by side, as one picture for a README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import vl_convert

from ..artifacts import writable, write_bytes, write_text
from .charts import by_group, lines
from .curves import METRICS
from .runs import Run, read_runs
from .theme import LIGHT

SIDE, PIXELS_PER_UNIT = 300, 2.0


def write_figure(directory: Path, out: Path) -> tuple[Path, Path]:
    """Draw a comparison's reward curves into `out` with the endings .svg and .png; returns both paths."""
    spec = reward_figure(read_runs(directory)).to_dict()
    svg, png = out.with_suffix(".svg"), out.with_suffix(".png")
    writable(out.parent).mkdir(parents=True, exist_ok=True)
    write_text(svg, vl_convert.vegalite_to_svg(spec))
    write_bytes(png, vl_convert.vegalite_to_png(spec, scale=PIXELS_PER_UNIT))
    return svg, png


def reward_figure(runs: Sequence[Run]) -> alt.HConcatChart:
    """One panel a group, on a common scale, with one legend."""
    reward = METRICS[0]
    legend = alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    panels = [
        alt.layer(*lines(reward, data, vertical, legend=legend)).properties(
            width=SIDE, height=SIDE * 2 // 3, title=f"{reward.title}, {group.words}"
        )
        for group, data, vertical in by_group(runs, reward)
    ]
    return alt.hconcat(*panels, config=LIGHT, background="white", padding=12)
