"""What training did to the weights: pure measurements, the first step's theory, and `inspect` of a directory."""

from __future__ import annotations

from ..certificate import product_norm
from ..linalg import orthonormality_error
from .alignment import (
    aligned_coefficients,
    aligned_distribution,
    angles_between,
    chance,
    cumulative_energy,
    principal_angles,
    subspace_shares,
    subspace_similarity,
)
from .change import Change, DenseChange, LowRankChange
from .first_step import (
    first_order_step,
    first_step,
    frame_defect,
    full_step,
    gap_bound,
    kl_radius,
    step_ratio,
    svd_coefficients,
)
from .inspection import Inspection, inspect
from .layer import LayerGeometry
from .masks import geora_masks, geora_premise
from .precision import in_bf16
from .spectra import effective_rank, normalized_spectral_shift, singular_values, spectral_shift_bound, stable_rank

__all__ = [
    "Change",
    "DenseChange",
    "Inspection",
    "LayerGeometry",
    "LowRankChange",
    "aligned_coefficients",
    "aligned_distribution",
    "angles_between",
    "chance",
    "cumulative_energy",
    "effective_rank",
    "first_order_step",
    "first_step",
    "frame_defect",
    "full_step",
    "gap_bound",
    "geora_masks",
    "geora_premise",
    "in_bf16",
    "inspect",
    "kl_radius",
    "normalized_spectral_shift",
    "orthonormality_error",
    "principal_angles",
    "product_norm",
    "singular_values",
    "spectral_shift_bound",
    "stable_rank",
    "step_ratio",
    "subspace_shares",
    "subspace_similarity",
    "svd_coefficients",
]
