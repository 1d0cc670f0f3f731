"""Every measure says what it is: an equation with shapes, and where it comes from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import pytest

from stiefel import geometry
from stiefel.geometry import layer, lora, native

NO_MEASURES = (geometry.all_small, geometry.inspect, geometry.open_subject, geometry.print_inspection)
MEASURES = [
    *(
        function
        for name in geometry.__all__
        if inspect.isfunction(function := getattr(geometry, name)) and function not in NO_MEASURES
    ),
    *(layer.angles, layer.curve, layer.spectrum_of, layer.spectra),
    *(lora.dora_change, native.adalora_change, native.vera_change, native.miss_change),
]


@pytest.mark.parametrize("function", MEASURES, ids=lambda function: function.__name__)
def test_a_measure_names_its_source(function: Callable[..., object]) -> None:
    said = " ".join((function.__doc__ or "").split())
    assert re.search(r"Source( of [^:]*)?: \S", said), "no source"
    assert re.search(r"[=/²ᵀ‖≠≤√⌊]|min\(", said), "no equation"


def test_all_of_them_are_seen() -> None:
    assert {"subspace_shares", "geora_premise", "product_norm", "first_step"} <= {f.__name__ for f in MEASURES}
