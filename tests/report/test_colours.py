"""Colours stay apart for readers who see colours differently, and on both pages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stiefel.errors import UserError
from stiefel.methods import METHODS, compose
from stiefel.report.series import CHANGES, GREY, PALETTE, STYLES, Series, ordered, style_of

# Machado, Oliveira and Fernandes, IEEE TVCG 15, 2009: severity 1.0, on linear RGB
SEEN_BY = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
NOTICEABLE = 2.3  # CIELAB distance of a just noticeable difference: Mahy et al., Color Res. Appl. 19, 1994


def linear(colour: str) -> np.ndarray:
    """sRGB → linear RGB, IEC 61966-2-1."""
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB → CIELAB, D65."""
    t = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(first: str, second: str) -> float:
    """The smallest distance of two colours over all readers."""
    return min(
        float(np.linalg.norm(lab(np.array(seen) @ linear(first)) - lab(np.array(seen) @ linear(second))))
        for seen in SEEN_BY.values()
    )


def test_our_grey_is_no_closer_to_a_colour_than_okabe_and_ito_s_are_to_each_other() -> None:
    published = [colour for colour in PALETTE if colour != GREY]
    closest = min(itertools.starmap(apart, itertools.combinations(published, 2)))
    assert closest > 5 * NOTICEABLE
    assert min(apart(GREY, colour) for colour in published) >= closest


@pytest.mark.parametrize("page", ["#ffffff", "#15181d"])
def test_no_colour_is_lost_on_a_page(page: str) -> None:
    def luminance(colour: str) -> float:
        return float(TO_XYZ[1] @ linear(colour)) + 0.05

    for colour in PALETTE:
        light, dark = sorted((luminance(colour), luminance(page)), reverse=True)
        assert light / dark > 2.2, colour  # Okabe and Ito's own orange has 2.25 on white


def test_every_composition_has_a_line_of_its_own_in_its_start_s_colour() -> None:
    kinds = {kind: [one.name for one in METHODS if one.kind == kind] for kind in ("start", "structure", "optimizer")}
    assert {*kinds["structure"], *kinds["optimizer"]} == CHANGES.keys()
    found = {}
    for parts in itertools.product(kinds["start"], ("", "rslora"), ("", "dora"), ("", *kinds["optimizer"])):
        name = "+".join(part for part in parts if part)
        try:
            composition = compose(name)
        except UserError:  # an anchored start with a frozen A
            continue
        found[composition.name] = style_of(composition.name)
        assert style_of(composition.name).colour == STYLES[parts[0]].colour or parts[0] == "lora"
        assert style_of("+".join(reversed(composition.name.split("+")))) == found[composition.name]
    found |= {one.name: style_of(one.name) for one in METHODS}
    assert len(set(found.values())) == len(found)
    assert ordered([Series("zeta"), Series("rlmo"), Series("rlpo+dora")])[0] == Series("rlpo+dora")
