"""Updates over W's singular directions: curves of inspections, put on common bins and averaged over matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..inspections import Curve, Matrix
from .marks import Place

Distribution = dict[Place, float]


def ends(matrix: Matrix, bins: int) -> np.ndarray:
    """How many of W's directions lie before the end of each bin; 0 first."""
    assert matrix.spectrum is not None
    return np.arange(bins + 1) * int(matrix.spectrum["positive"]) // bins


def cumulative(matrix: Matrix, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Σ_{j≤i}p_j and E_i at the bins' ends, 0 first."""
    return np.cumsum([0.0, *curve.distribution]), np.array([0.0, *curve.energy])


def distribution(matrix: Matrix, curve: Curve, bins: int) -> np.ndarray:
    """k·p_i, mean of each bin's directions: 1 everywhere for an update without a preference."""
    sums, _ = cumulative(matrix, curve)
    counts = ends(matrix, len(curve.distribution))
    if len(curve.distribution) != bins:  # of another size: between its own bins' ends it is taken as even
        places = np.linspace(0, counts[-1], bins + 1)
        sums, counts = np.interp(places, counts, sums), places
    density: np.ndarray = np.diff(sums) / np.diff(counts) * counts[-1]
    return density


def energy(matrix: Matrix, curve: Curve, bins: int) -> np.ndarray:
    """E_i at the bins' ends."""
    _, sums = cumulative(matrix, curve)
    found: np.ndarray = np.interp(np.linspace(0, 1, bins + 1), np.linspace(0, 1, len(sums)), sums)[1:]
    return found


def averaged(rows: Sequence[np.ndarray]) -> Mapping[Place, float]:
    """The mean over matrices, by the bins' relative ends."""
    mean = np.mean(rows, axis=0)
    return {round((i + 1) / len(mean), 6): float(value) for i, value in enumerate(mean)}


def depths(matrices: Sequence[Matrix]) -> list[int]:
    """The first, the middle and the last layer, counted from 0: 0, 14 and 27 of 28, as the paper's Fig. 3 has them."""
    found = known_depths(matrices)
    return sorted({found[0], found[len(found) // 2], found[-1]}) if found else []


def depths_from_one(matrices: Sequence[Matrix]) -> list[int]:
    """The first, the middle and the last layer of the paper's Fig. 9, which counts from 1: its 1, 14 and 28 of 28."""
    found = known_depths(matrices)
    return sorted({found[0], found[(len(found) - 1) // 2], found[-1]}) if found else []


def known_depths(matrices: Sequence[Matrix]) -> list[int]:
    """Every layer's depth, ascending."""
    return sorted({matrix.depth for matrix in matrices if matrix.depth is not None})
