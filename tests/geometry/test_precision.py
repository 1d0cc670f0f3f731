"""What bfloat16 holds of a change, against a rounding that is not torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stiefel.geometry import DenseChange, LowRankChange, in_bf16, inspect
from stiefel.geometry.precision import rounded_shift, rounding_energy, spaced_rows

from .conftest import make_case
from .reference import to_bfloat16


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("form", ["plain", "anchored", "dense"])
def test_the_share_of_entries_that_change(form, size, shape) -> None:
    case = make_case(shape, form, size=size)
    expected = (to_bfloat16(case.dense_W + case.D) != to_bfloat16(case.dense_W)).mean()
    # torch rounds float64 by way of float32: an entry within a float32 unit of a tie may fall to the other side
    assert in_bf16(case.W, case.change).changed == pytest.approx(expected, abs=1.5 / case.W.numel())


def test_the_rounding_is_what_rounding_does() -> None:
    """The model, uniform on ±ulp/2, against the rounding of 600 × 500 entries: relative error √(4/5/N) = 0.16%."""
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(600, 500, generator=generator).bfloat16()
    change = DenseChange(1e-2 * torch.randn(600, 500, generator=generator))
    after = W.double().numpy() + change.D.double().numpy()
    measured = np.linalg.norm(to_bfloat16(after) - after) / change.norm
    assert in_bf16(W, change).rounding == pytest.approx(measured, rel=5 * 0.0016)


@pytest.mark.parametrize("size", [(200, 200), (300, 80)])
def test_rounding_alone_moves_the_spectrum_as_said(size) -> None:
    """√(Σ of min(m, n) squares): its own relative spread is √(1/2k), five of them, and 1% for the second order."""
    generator = torch.Generator().manual_seed(2)
    W = torch.randn(size, generator=generator)
    change = DenseChange(1e-2 * torch.randn(size, generator=generator))
    after = W.double().numpy() + change.D.double().numpy()
    exact, rounded = (np.linalg.svd(X, compute_uv=False) for X in (after, to_bfloat16(after)))
    measured = np.linalg.norm(rounded - exact) / float(W.norm())
    found = rounded_shift(in_bf16(W, change).rounding, change.norm / float(W.norm()), size)
    assert measured == pytest.approx(found, rel=5 * (1 / (2 * min(size))) ** 0.5 + 0.01)


@pytest.mark.parametrize(("size", "hidden"), [(1e-5, True), (1e-2, False)])
def test_a_checkpoint_in_bfloat16_is_told_from_its_rounding(size, hidden, make_model, tmp_path) -> None:
    """Beside a base in float32 the rounding of W itself is in ΔW, with a change that is smaller than it or larger."""
    model = make_model()
    model.save_pretrained(tmp_path / "base")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)
    model.bfloat16().save_pretrained(tmp_path / "changed")
    found = inspect(tmp_path / "changed", str(tmp_path / "base"))
    assert all(layer.bf16_stored for layer in found.layers)
    said = " ".join(found.reading)
    assert ("in 14 of 14 matrices that rounding is more than half of the change" in said) == hidden
    assert ("beyond what bfloat16 weights resolve" in said) == hidden


def test_rounding_follows_the_distance_to_the_next_number() -> None:
    for x, ulp in ((1.0, 2**-7), (1.5, 2**-7), (-1.99, 2**-7), (2.0, 2**-6), (0.1, 2**-11), (-3e-5, 2**-23), (0.0, 0)):
        assert rounding_energy(torch.tensor([x, 0.0, x])) == 2 * ulp**2 / 12


def test_a_large_matrix_is_seen_through_evenly_spaced_rows() -> None:
    assert spaced_rows((10, 4), 100).tolist() == list(range(10))
    assert spaced_rows((10, 4), 12).tolist() == [0, 3, 6]
    assert spaced_rows((10, 4), 1).tolist() == [0]
    generator = torch.Generator().manual_seed(1)
    W, B, A = (torch.randn(size, generator=generator) for size in ((400, 30), (400, 2), (2, 30)))
    change = LowRankChange(1e-3 * B, A)
    whole, seen = in_bf16(W, change), in_bf16(W, change, 100 * 30)
    # 3,000 of 12,000 entries, whose rows scale with B: five binomial standard errors, trebled for whole rows
    assert seen.changed == pytest.approx(whole.changed, abs=3 * 5 * (0.25 / 3000) ** 0.5)
    assert seen.rounding == pytest.approx(whole.rounding, rel=0.1)


def test_no_change_is_neither_changed_nor_hidden() -> None:
    assert in_bf16(torch.ones(3, 3), DenseChange(torch.zeros(3, 3))) == (0.0, 0.0)
