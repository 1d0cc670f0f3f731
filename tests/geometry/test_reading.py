"""The sentences follow the numbers, at their edges too."""

from __future__ import annotations

from dataclasses import replace

from stiefel.geometry import LayerGeometry
from stiefel.geometry.reading import factors

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
