"""Orthonormal starts against closed formulas, SciPy, PyWavelets and the moments of Haar measure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pywt
import torch
from scipy import fft, stats

from stiefel.methods import find_method
from stiefel.methods.transforms import haar_transform

EPS32, EPS64 = np.finfo(np.float32).eps, np.finfo(np.float64).eps
LENGTHS = [1, 2, 7, 15, 16, 24, 30, 48, 64]  # one, odd, 2^k, 3·2^k, 2·15
SEEDED = ["random_orthonormal", "wavelet"]


def start(name, make_layer, n, rank, seed=0):
    method = find_method(name)
    layer = make_layer(method, torch.ones(max(2, rank), n), rank, seed=seed)
    return layer, method.factors(layer).A.double().numpy()


def gaussian_of(layer) -> np.ndarray:
    """The Gaussian rows that a layer's own generator draws."""
    G = torch.empty(layer.rank, layer.in_features, dtype=torch.float64)
    return G.normal_(generator=layer.generator()).numpy()


def projector(rows: np.ndarray) -> np.ndarray:
    """Onto the row space, by NumPy's SVD."""
    Vh = np.linalg.svd(rows, full_matrices=False)[2]
    return Vh.T @ Vh


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("whole", [False, True], ids=["some rows", "all rows"])
def test_dct_is_the_closed_formula(n, whole, make_layer):
    rank = n if whole else min(n, 5)
    _, A = start("dct", make_layer, n, rank)
    i, j = np.arange(rank)[:, None], np.arange(n)
    D = np.where(i == 0, math.sqrt(1 / n), math.sqrt(2 / n)) * np.cos(np.pi * (2 * j + 1) * i / (2 * n))
    assert np.abs(A - D).max() <= EPS32 / 2 * math.sqrt(2 / n) + 64 * EPS64


@pytest.mark.parametrize("n", LENGTHS)
def test_dct_transforms_as_scipy_does(n, make_layer):
    _, A = start("dct", make_layer, n, n)
    x = np.random.default_rng(0).standard_normal(n)
    assert np.linalg.norm(A @ x - fft.dct(x, norm="ortho")) <= n * EPS32 * np.linalg.norm(x)


def haar_by_hand(x: np.ndarray) -> np.ndarray:
    """Pairs (a, b) → (a + b)/√2 and (a − b)/√2, again on the sums while their number is even; coarse to fine."""
    details = []
    while len(x) % 2 == 0:
        details.append((x[0::2] - x[1::2]) / math.sqrt(2))
        x = (x[0::2] + x[1::2]) / math.sqrt(2)
    return np.concatenate([x, *reversed(details)])


@pytest.mark.parametrize("n", LENGTHS)
def test_haar_transform_is_orthonormal_and_the_textbook_s(n):
    H = haar_transform(np.eye(n)).T
    assert np.abs(H @ H.T - np.eye(n)).max() <= 8 * EPS64 * math.log2(2 * n)
    rows = np.random.default_rng(1).standard_normal((3, n))
    expected = np.stack([haar_by_hand(row) for row in rows])
    assert np.abs(haar_transform(rows) - expected).max() <= 8 * EPS64 * math.log2(2 * n) * np.abs(rows).sum()


@pytest.mark.parametrize("n", [2, 16, 64])
def test_haar_transform_of_a_power_of_two_is_pywavelets_full_decomposition(n):
    row = np.random.default_rng(2).standard_normal(n)
    assert np.allclose(haar_transform(row[None])[0], np.concatenate(pywt.wavedec(row, "haar")), rtol=0, atol=1e-14 * n)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", SEEDED)
def test_rows_span_what_the_definition_says(name, n, make_layer):
    rank = min(n, 5)
    layer, A = start(name, make_layer, n, rank)
    G = gaussian_of(layer)
    spanning = G if name == "random_orthonormal" else np.stack([haar_by_hand(row) for row in G])
    S = np.linalg.svd(spanning, compute_uv=False)
    # float64 QR turns the span by its backward error over σ_r; then every unit row is rounded to float32
    bound = 4 * (n + rank) * EPS64 * S[0] / S[-1] + 2 * math.sqrt(rank) * EPS32
    assert np.linalg.norm(projector(A) - projector(spanning)) <= bound
    # with R's diagonal positive QR is Gram and Schmidt's: row i is along the part of G_i that is new
    assert (np.diag(A @ spanning.T) > 0).all()
    assert np.abs(np.triu(A @ spanning.T).T - (A @ spanning.T).T).max() <= bound * S[0]


@pytest.mark.parametrize("name", SEEDED)
class TestHaarMeasure:
    """Moments over independent layers; every bound is 5 standard deviations of the estimate."""

    N, RANK, DRAWS = 8, 3, 600

    @pytest.fixture
    def draws(self, name, make_layer) -> np.ndarray:
        return np.stack([start(name, make_layer, self.N, self.RANK, seed=seed)[1] for seed in range(self.DRAWS)])

    def test_the_mean_projector_is_a_multiple_of_the_identity(self, draws):
        """P_ii ~ Beta(r/2, (n − r)/2); Σ_j P_ij² = P_ii gives the off-diagonal second moment."""
        n, r = self.N, self.RANK
        mean = np.einsum("dri,drj->ij", draws, draws) / self.DRAWS
        diagonal = stats.beta(r / 2, (n - r) / 2)
        off_diagonal = (diagonal.mean() - diagonal.moment(2)) / (n - 1)
        variance = np.where(np.eye(n), diagonal.var(), off_diagonal)
        assert (np.abs(mean - r / n * np.eye(n)) <= 5 * np.sqrt(variance / self.DRAWS)).all()

    def test_no_sign_is_preferred(self, draws):
        """LAPACK's Q alone has a fixed sign in its first column."""
        positive = (draws > 0).mean(axis=0)
        assert (np.abs(positive - 0.5) <= 5 * 0.5 / math.sqrt(self.DRAWS)).all()

    def test_an_entry_s_square_is_beta(self, draws):
        law = stats.beta(0.5, (self.N - 1) / 2)
        for i in range(self.RANK):
            assert stats.kstest(draws[:, i, 2 * i] ** 2, law.cdf).pvalue > 1e-6


def test_the_two_controls_differ_by_their_draw(make_layer):
    _, random = start("random_orthonormal", make_layer, 16, 4)
    _, wavelet = start("wavelet", make_layer, 16, 4)
    assert np.linalg.norm(random - wavelet) > 0.1
    _, odd = start("random_orthonormal", make_layer, 15, 4)
    assert np.array_equal(odd, start("wavelet", make_layer, 15, 4)[1]), "of an odd length H is the identity"
