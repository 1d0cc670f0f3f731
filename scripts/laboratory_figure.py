"""The pictures of docs/laboratory.md: a run's reward over its step, and every method at its best rate."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

from stiefel.report import theme

SHOWN = ("lora", "rlpo", "rlmo", "pissa", "milora", "geora", "full")  # by colour; the others are grey
COLOURS = ("#4e79a7", "#e15759", "#59a14f", "#b07aa1", "#f28e2b", "#76b7b2", "#222222")
WIDTH = 560
DECADES = alt.Axis(values=[10.0**power for power in range(-8, 1)], format=".0e")


def step_and_reward(found: dict[str, Any]) -> str:
    """An SVG: a point a run, log₁₀ of its step against the mean reward of its last rollouts; the curve, its plateau."""
    best = found["best"]
    curve = alt.Chart(alt.Data(values=[{"step": at, "reward": reward} for at, reward in best["curve"]]))
    line = curve.mark_line(color="#222222", strokeWidth=1.5).encode(x="step:Q", y="reward:Q")
    return drawn(alt.layer(band(best["from"], best["to"]), runs(found["points"]), line))


def beside(found: dict[str, Any]) -> str:
    """An SVG: the same of another model's runs, without a curve, over the plateau of the first one."""
    return drawn(alt.layer(band(*found["near"]), runs(found["points"])))


def band(low: float, high: float) -> alt.Chart:
    """The steps of a plateau."""
    area = alt.Chart(alt.Data(values=[{"from": low, "to": high}])).mark_rect(color="#d8dee9", opacity=0.5)
    return area.encode(x=alt.X("from:Q").scale(type="log"), x2="to:Q")


def runs(points: list[dict[str, Any]]) -> alt.Chart:
    """A point a run, by method."""
    rows = [{**one, "shown": one["method"] if one["method"] in SHOWN else "others"} for one in points]
    rows.sort(key=lambda row: row["shown"] != "others")  # those of a colour are drawn over the grey ones
    there = {row["shown"] for row in rows}
    pairs = zip([*SHOWN, "others"], [*COLOURS, "#b9bfc9"], strict=True)
    names, colours = zip(*[pair for pair in pairs if pair[0] in there], strict=True)
    step = "step, KL in nats a token (median of the first ten rollouts)"
    return (
        alt.Chart(alt.Data(values=rows), width=WIDTH, height=280)
        .mark_circle(size=32, opacity=0.8)
        .encode(
            x=alt.X("step:Q", title=step, scale=alt.Scale(type="log", nice=False, padding=12), axis=DECADES),
            y=alt.Y("reward:Q", title="reward, mean of the last 15 rollouts", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("shown:N", scale=alt.Scale(domain=names, range=colours), title=None),
        )
    )


def at_best_rates(methods: dict[str, Any]) -> str:
    """An SVG: a line a method, its mean reward at its best rate with its 95% interval over seeds, the best first."""
    found = {method: one["best"] for method, one in methods.items() if one["best"]["interval"]}
    order = sorted(found, key=lambda method: -found[method]["mean"])
    rows = [
        {"method": method, "mean": found[method]["mean"], "low": low, "high": high}
        for method in order
        for low, high in [found[method]["interval"]]
    ]
    base = alt.Chart(alt.Data(values=rows), width=WIDTH, height=16 * len(rows)).encode(
        y=alt.Y("method:N", sort=order, title=None)
    )
    lora = alt.Chart(alt.Data(values=[{"mean": found["lora"]["mean"]}])).mark_rule(color="#999999", strokeDash=[3, 3])
    axis = alt.X(
        "low:Q", title="reward at the best rate, mean of the last 15 rollouts", scale=alt.Scale(zero=False, nice=True)
    )
    line = base.mark_rule(color=COLOURS[0]).encode(x=axis, x2="high:Q")
    point = base.mark_circle(size=40, color=COLOURS[0], opacity=1).encode(x="mean:Q")
    return drawn(alt.layer(lora.encode(x="mean:Q"), line, point))


def drawn(chart: alt.Chart | alt.LayerChart) -> str:
    """In the report's light theme."""
    shown = {key: value for key, value in theme.LIGHT.items() if key in ("font", "axis", "legend", "view")}
    return str(vl_convert.vegalite_to_svg(chart.configure(background="white", **shown).to_dict()))
