"""A trained change and its base in, where in the spectrum of W the change lies out; and the first step's theory.

Open inspection.py first: it measures a directory; layer.py measures one matrix, live.py a run while it trains.
"""

from __future__ import annotations

from ..adapter import product_norm
from ..spectrum import orthonormality_error
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
from .basis import all_small
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
from .inspection import Inspection, inspect, open_subject
from .layer import LayerGeometry
from .live import GeometryCallback
from .masks import geora_masks, geora_premise
from .precision import in_bf16
from .spectra import effective_rank, normalized_spectral_shift, singular_values, spectral_shift_bound, stable_rank
from .table import print_inspection

__all__ = [
    "Change",
    "DenseChange",
    "GeometryCallback",
    "Inspection",
    "LayerGeometry",
    "LowRankChange",
    "aligned_coefficients",
    "aligned_distribution",
    "all_small",
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
    "open_subject",
    "orthonormality_error",
    "principal_angles",
    "print_inspection",
    "product_norm",
    "singular_values",
    "spectral_shift_bound",
    "stable_rank",
    "step_ratio",
    "subspace_shares",
    "subspace_similarity",
    "svd_coefficients",
]
