"""Every number of stiefel.json, by NumPy in float64 from the base and the adapter's files alone."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from importlib.metadata import version

import numpy as np
import pytest
import torch
import xxhash
from safetensors.torch import load_file

from stiefel import attach, save
from stiefel.adapter.attached import certificate_of
from tests.oracles.geora import reference_masks, reference_w_geo

RANK, ALPHA = 4, 12
SCALING = ALPHA / RANK
EPS32 = np.finfo(np.float32).eps
CASES = {
    "lora": {},
    "random_orthonormal": {},
    "rlpo": {},
    "rlmo": {},
    "olora_tail": {},
    "pissa divided": {"sigma": "divided"},
    "pissa undivided": {"sigma": "undivided"},
    "milora": {},
    "geora": {},
    "geora_tail": {"rho": "0.3"},
    "geora_euclidean": {},
}
PARTS = {"rlpo": "top", "pissa": "top", "geora": "top", "geora_euclidean": "top"}
PARTS |= {"rlmo": "bottom", "milora": "bottom", "olora_tail": "bottom", "geora_tail": "bottom"}


def decided(layers, rho):
    """The layers whose masks do not hang on rounding: most of them."""
    found = []
    for layer, W, *rest in layers:
        try:
            masks = reference_masks(torch.from_numpy(W).float(), RANK, rho)
        except AssertionError:
            continue
        found.append((masks, layer, W, *rest))
    assert len(found) >= len(layers) / 2
    return found


@pytest.fixture(params=CASES)
def written(request, make_model, tmp_path):
    """(method, options, what was said, each layer's W, factors and start)."""
    model, name, options = make_model(), request.param.split()[0], CASES[request.param]
    base = {key: weight.double().numpy() for key, weight in model.state_dict().items()}
    out = tmp_path / "adapter"
    save(attach(model, name, r=RANK, alpha=ALPHA, seed=11, cache=False, **options), out)
    said = json.loads((out / "stiefel.json").read_text())
    files = {path.stem: load_file(path) for path in out.glob("*.safetensors")}
    layers = []
    for layer in said["layers"]:
        prefix = f"base_model.model.{layer['name']}.lora_"
        A, B = (files["adapter_model"][f"{prefix}{side}.weight"].double().numpy() for side in "AB")
        A0, B0 = A, B
        if said["anchored"]:
            A0, B0 = (files["anchors"][f"{layer['name']}.{side}"].double().numpy() for side in "AB")
        layers.append((layer, base[f"{layer['name']}.weight"], A, B, A0, B0))
    return name, options, said, layers, out


def test_the_adapter_itself(written):
    name, options, said, layers, out = written
    assert (said["method"], said["rank"], said["alpha"], said["seed"]) == (name, RANK, ALPHA, 11)
    assert said["targets"] == "all-linear"
    for option, value in options.items():
        assert str(said["options"][option]) == value
    assert len(layers) == 14
    assert said["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.glob("*.safetensors")
    }
    config = json.loads((out / "adapter_config.json").read_text())
    width = 2 if said["anchored"] else 1
    assert (config["r"], config["lora_alpha"]) == (width * RANK, width * ALPHA)


def test_norm_shape_and_start(written):
    _, _, said, layers, _ = written
    for layer, W, A, B, A0, B0 in layers:
        assert tuple(layer["shape"]) == W.shape
        assert layer["norm"] == pytest.approx(np.linalg.norm(W), rel=1e-7)
        gram = np.abs(A0 @ A0.T - np.eye(RANK)).max()
        assert layer["orthonormality_error"] == pytest.approx(gram, rel=1e-9, abs=1e-12)
        assert layer["anchor_norm"] == pytest.approx(SCALING * np.linalg.norm(B0 @ A0), rel=1e-9)
        assert layer["start_error"] == np.linalg.norm(SCALING * B @ A) / np.linalg.norm(W) == 0
        if said["anchored"]:
            assert layer["anchor_norm"] > 0
            assert np.array_equal(A[:RANK], A0)
            assert np.array_equal(B[:, RANK:], B0)


def test_captured_energy(written):
    for layer, W, _, _, A0, _ in written[3]:
        Q = np.linalg.qr(A0.T)[0]
        energy = np.linalg.norm(W @ Q) ** 2 / np.linalg.norm(W) ** 2
        # float32 factors and products: each sees √ε-free relative error, in units of ‖W‖: 2·√r·ε·√energy + its square
        slip = 8 * np.sqrt(RANK) * EPS32
        assert abs(layer["captured_energy"] - energy) <= 2 * slip * np.sqrt(energy) + slip**2


def test_singular_values_are_those_of_the_part_of_its_matrix(written):
    name, options, _, layers, _ = written
    rho = Fraction(options.get("rho", "1/5"))
    if name.startswith("geora"):
        layers = [layer for _, *layer in decided(layers, rho)]
    for layer, W, _, _, A0, B0 in layers:
        if name not in PARTS:
            assert layer["singular_values"] == []
            assert (layer["solver"], layer["residual"]) == ("", 0)
            continue
        rounded = torch.from_numpy(W).float()
        matrix = reference_w_geo(name, rounded, RANK, rho) if name.startswith("geora") else W
        U, S, Vh = np.linalg.svd(matrix)
        k = int((max(W.shape) * np.finfo(float).eps * S[0] < S).sum())
        kept = slice(0, RANK) if PARTS[name] == "top" else slice(k - RANK, k)
        assert np.abs(layer["singular_values"] - S[kept]).max() <= EPS32 * S[0]
        assert (layer["solver"], layer["residual"]) == ("exact", 0)  # so small a matrix is solved by LAPACK
        if name in ("pissa", "milora") or name.startswith("geora"):
            sigma = options.get("sigma", "undivided" if name.startswith("geora") else "divided")
            scale = SCALING if sigma == "divided" else 1.0
            part = (U[:, kept] * S[kept]) @ Vh[kept]
            # √σ and the vectors rounded once each, and products of r of them
            assert np.linalg.norm(scale * B0 @ A0 - part) <= 8 * EPS32 * np.linalg.norm(S[kept])


def test_statistics_of_the_masks(written):
    name, options, _, layers, _ = written
    if not name.startswith("geora"):
        assert all(layer["statistics"] == {} for layer, *_ in layers)
        return
    for masks, layer, W, *_ in decided(layers, Fraction(options.get("rho", "1/5"))):
        spectral, euclidean = masks["spectral"], masks["euclidean"]
        if name == "geora_euclidean":
            assert layer["statistics"] == {"mask_share": euclidean.mean()}
            continue
        both, either = (spectral & euclidean).sum(), (spectral | euclidean).sum()
        expected = {
            "mask_intersection": both / W.size,
            "mask_union": either / W.size,
            "mask_jaccard": both / either,
        }
        assert layer["statistics"] == pytest.approx(expected, rel=1e-12)


def test_fingerprints_tell_the_matrices_apart(written):
    _, _, _, layers, _ = written
    assert len({layer["fingerprint"] for layer, *_ in layers}) == len(layers)
    assert all(layer["seconds"] >= 0 and layer["peak_memory_bytes"] > 2**20 for layer, *_ in layers)


def wide_model(make_model):
    """Matrices above the size up to which LAPACK solves all."""
    return make_model(hidden_size=192, intermediate_size=320, num_hidden_layers=1, head_dim=96)


@pytest.mark.parametrize("method", ["olora", "olora_tail"])
def test_what_the_fast_solver_says_of_itself(method, make_model):
    """Orthonormal factors are the singular vectors themselves, so that σ and the residual can be computed again."""
    model = wide_model(make_model)
    base = {key: weight.double().numpy() for key, weight in model.state_dict().items()}
    adapted = attach(model, method, r=RANK, alpha=ALPHA, cache=False)
    fast = 0
    for layer in certificate_of(adapted).layers:
        W = base[f"{layer.name}.weight"]
        module = adapted.get_base_model().get_submodule(layer.name)
        A, B = (factors["default"].anchor.double().numpy() for factors in (module.lora_A, module.lora_B))
        exact = np.linalg.svd(W, compute_uv=False)
        part = exact[:RANK] if method == "olora" else exact[-RANK:]
        if layer.solver == "exact":
            assert layer.residual == 0
            assert np.abs(layer.singular_values - part).max() <= EPS32 * exact[0]
            continue
        fast += 1
        found = np.array(layer.singular_values)
        if method == "olora":
            assert 0.999 * np.sum(part**2) <= np.sum(found**2) <= (1 + EPS32) * np.sum(part**2)
        else:
            assert (1 - EPS32 * exact[0] / part[-1]) * np.sum(part**2) <= np.sum(found**2) <= 1.01 * np.sum(part**2)
        sides = W.T @ B - A.T * found, W @ A.T - B * found
        worst = max(np.linalg.norm(side, axis=0).max() for side in sides) / exact[0]
        rounding = 4 * EPS32 * np.linalg.norm(exact) / exact[0]  # of the factors, seen from either side
        assert layer.residual / 1.5 - rounding <= worst <= 1.5 * layer.residual + rounding
    assert fast >= 4


def test_fingerprints_are_digests_of_the_values(make_model):
    """XXH3-128 of shape and type, then the numbers in rows: as bfloat16 where each is one, else as float32."""
    model = make_model()
    model.get_submodule("model.layers.0.self_attn.q_proj").bfloat16().float()
    layers = certificate_of(attach(model, "lora", r=RANK, alpha=ALPHA)).layers
    for layer, dtype in ((layers[0], torch.bfloat16), (layers[1], torch.float32)):
        W = model.get_submodule(layer.name).weight.detach().to(dtype)
        data = W.view(torch.int16 if dtype == torch.bfloat16 else torch.int32).numpy().tobytes()
        text = f"{tuple(W.shape)} {dtype} ".encode()
        assert layer.fingerprint == xxhash.xxh3_128(text + data).hexdigest()


def test_versions_are_those_installed(written):
    assert written[2]["versions"] == {name: version(name) for name in written[2]["versions"]}
    assert {"stiefel", "torch", "transformers", "peft"} <= written[2]["versions"].keys()
