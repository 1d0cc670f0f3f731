"""The sentences follow the numbers, at their edges too."""

from __future__ import annotations

from dataclasses import replace

from stiefel.geometry import LayerGeometry
from stiefel.geometry.reading import factors, precision

LAYER = LayerGeometry(
    name="layer",
    kind="layer",
    depth=None,
    shape=(4, 4),
    directions=1,
    norm=1.0,
    singular_values=[1.0],
    delta_norm=1.0,
    relative=1.0,
    orthonormality_error=0.125,
)


def test_the_drift_of_a_start_is_told_where_it_was_orthonormal() -> None:
    for start, told in ((0.0, True), (1e-6, True), (0.5, False), (None, False)):  # a frame may be exact to the last bit
        lines = factors([replace(LAYER, orthonormality_error_at_start=start)])
        assert any("began orthonormal and are off by 0.12" in line for line in lines) == told


def test_what_bfloat16_hides_is_said_of_the_change_and_of_single_figures() -> None:
    whole = replace(LAYER, bf16_changed=0.5, nss=0.1, bf16_nss=0.01, s_head=0.3, s_tail=0.2, s_head_chance=0.25)
    clear = precision([replace(whole, bf16_rounding=0.5)])  # its rounding has 0.0625 of the change's energy there
    assert clear == ["Rounded to bfloat16, 50% of the entries change."]
    cases = {"NSS": {"nss": 0.009}, "S_Head": {"s_head": 0.06}, "S_Tail": {"s_tail": 0.06}}
    for name, smaller in cases.items():
        _, line = precision([replace(whole, bf16_rounding=0.5, **smaller)])
        assert f"more of a figure than the change does, of {name} in 1 of the 1 matrices" in line
    hidden = replace(whole, bf16_rounding=3.0, nss=0.009)
    _, first, second = precision([hidden, replace(whole, bf16_rounding=0.5, nss=0.009)])
    assert "In 1 of 2 matrices the change is smaller than that rounding, which is up to 3 times" in first
    assert "of NSS in 1 of the 1 other matrices" in second
