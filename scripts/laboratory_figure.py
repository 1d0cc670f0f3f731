"""A run's reward over its step, every method and rate: the picture of docs/laboratory.md."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

from stiefel.report import theme

SHOWN = ("lora", "rlpo", "rlmo", "pissa", "milora", "geora", "full")  # by colour; the others are grey
COLOURS = ("#4e79a7", "#e15759", "#59a14f", "#b07aa1", "#f28e2b", "#76b7b2", "#222222")
DECADES = alt.Axis(values=[10.0**power for power in range(-8, 1)], format=".0e")


def step_and_reward(found: dict[str, Any]) -> str:
    """An SVG: a point a run, log₁₀ of its step against the mean reward of its last rollouts."""
    rows = [{**one, "shown": one["method"] if one["method"] in SHOWN else "others"} for one in found["points"]]
    step = "step, KL in nats a token (median of the first ten rollouts)"
    names, colours = [*SHOWN, "others"], [*COLOURS, "#b9bfc9"]
    chart = (
        alt.Chart(alt.Data(values=rows), width=560, height=280, background="white")
        .mark_circle(size=32, opacity=0.8)
        .encode(
            x=alt.X("step:Q", title=step, scale=alt.Scale(type="log", nice=False, padding=12), axis=DECADES),
            y=alt.Y("reward:Q", title="reward, mean of the last 15 rollouts", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("shown:N", scale=alt.Scale(domain=names, range=colours), title=None),
        )
        .configure(**{key: value for key, value in theme.LIGHT.items() if key in ("font", "axis", "legend", "view")})
    )
    return str(vl_convert.vegalite_to_svg(chart.to_dict()))
