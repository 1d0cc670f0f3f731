"""`stiefel verify` says yes to what it should, and catches every change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stiefel.adapter.files import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE
from stiefel.adapter.saved import load, save
from stiefel.adapter.streamed import prepare
from stiefel.adapter.verified import verify
from stiefel.artifacts import file_digest, read_json, write_json
from stiefel.cli import main
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH

METHODS = ("rlpo", "pissa", "lora", "geora")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made")
    for method in METHODS:
        prepare("nano", method, place / method, r=4, alpha=8)
    return place


def holds(directory: Path, base: str = "nano") -> bool:
    return all(check.holds for check in verify(directory, base))


@pytest.mark.parametrize("method", METHODS)
def test_a_fresh_adapter_holds(method: str, made: Path) -> None:
    assert holds(made / method)


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_adapter_holds(method: str, made: Path, tmp_path: Path) -> None:
    model = load(load_model("nano"), made / method)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(1e-3)
    save(model, tmp_path / "trained")
    assert holds(tmp_path / "trained")


@pytest.mark.parametrize("method", ["rlpo", "rlmo", "milora"])
def test_an_adapter_made_for_another_type_is_measured_on_the_weights_of_that_type(method: str, tmp_path: Path) -> None:
    """What little energy trailing directions hold is half of it the rounding."""
    prepare("nano", method, tmp_path / "made", r=4, alpha=8, dtype="bfloat16")
    assert holds(tmp_path / "made")


@pytest.mark.parametrize("method", ["rlpo", "rlmo", "pissa", "milora", "olora_tail"])
@pytest.mark.parametrize("shape", [(320, 200), (200, 320)], ids=str)
def test_what_the_fast_solver_certifies_holds(
    method: str, shape: tuple[int, int], make_model: Callable[..., Any], tmp_path: Path
) -> None:
    """Its residual is not zero, and is found again; of bfloat16 weights with a spectrum that falls."""
    m, n = shape
    model = make_model(hidden_size=n, intermediate_size=m, num_hidden_layers=1, head_dim=64)
    decay = torch.arange(1, n + 1) ** -0.6
    model.model.layers[0].mlp.up_proj.weight.data = torch.randn(m, n) @ torch.diag(decay) @ torch.randn(n, n) / n
    model.bfloat16().save_pretrained(tmp_path / "base")
    certificate = prepare(str(tmp_path / "base"), method, tmp_path / "made", r=4, alpha=8, target_modules=["up_proj"])
    assert certificate.layers[0].solver.startswith("fast")
    assert certificate.layers[0].residual > 0
    assert [check for check in verify(tmp_path / "made", str(tmp_path / "base")) if not check.holds] == []


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def change_alpha(directory: Path) -> None:
    config = read_json(directory / CONFIG_FILE)
    write_json(directory / CONFIG_FILE, config | {"lora_alpha": config["lora_alpha"] + 1})


def forge(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the certificate, with digests that match again."""
    record = read_json(directory / "stiefel.json")
    change(record)
    record["files"] = {name: file_digest(directory / name) for name in record["files"]}
    write_json(directory / "stiefel.json", record)


def swap_anchors(directory: Path) -> None:
    anchors = load_file(directory / ANCHORS_FILE)
    first, second = "model.layers.0.mlp.up_proj.A", "model.layers.0.mlp.gate_proj.A"
    anchors[first], anchors[second] = anchors[second], anchors[first]
    save_file(anchors, directory / ANCHORS_FILE)
    forge(directory, lambda record: None)


def other_start(directory: Path) -> None:
    factors = load_file(directory / FACTORS_FILE)
    for name, factor in factors.items():
        if "lora_A" in name:
            factors[name] = torch.roll(factor, 1, dims=1)
    save_file(factors, directory / FACTORS_FILE, metadata={"format": "pt"})
    forge(directory, lambda record: None)


def change_factors(
    directory: Path, change: Callable[[str, torch.Tensor], torch.Tensor], more: dict[str, int] | None = None
) -> None:
    factors = {key: change(key, factor).contiguous() for key, factor in load_file(directory / FACTORS_FILE).items()}
    factors |= {key: torch.zeros(size) for key, size in (more or {}).items()}
    save_file(factors, directory / FACTORS_FILE, metadata={"format": "pt"})
    forge(directory, lambda record: None)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def claim(key: str, value: float) -> Callable[[Path], None]:
    return lambda directory: forge(directory, lambda record: record["layers"][3].update({key: value}))


def set_config(directory: Path, **changes: Any) -> None:
    write_json(directory / CONFIG_FILE, read_json(directory / CONFIG_FILE) | changes)


CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "one flipped bit in a factor": ("rlpo", lambda directory: flip_bit(directory / FACTORS_FILE)),
    "one flipped bit in an anchor": ("pissa", lambda directory: flip_bit(directory / ANCHORS_FILE)),
    "a swapped anchor, digests mended": ("pissa", swap_anchors),
    "other factors, digests mended": ("rlpo", other_start),
    "a changed alpha": ("rlpo", change_alpha),
    "truncated factors": ("geora", lambda directory: truncate(directory / FACTORS_FILE)),
    "a missing sidecar": ("pissa", lambda directory: (directory / ANCHORS_FILE).unlink()),
    "PEFT told of fewer targets": ("rlpo", lambda directory: set_config(directory, target_modules=["q_proj"])),
    "PEFT told of fewer layers": ("rlpo", lambda directory: set_config(directory, layers_to_transform=[0])),
    "a layer taken out of the certificate": ("rlpo", lambda d: forge(d, lambda record: record["layers"].pop())),
    "an anchored layer taken out": ("pissa", lambda d: forge(d, lambda record: record["layers"].pop(0))),
    "no layer certified": ("rlpo", lambda d: forge(d, lambda record: record["layers"].clear())),
    "a layer renamed": ("pissa", lambda d: forge(d, lambda record: record["layers"][0].update(name="model.other"))),
    "a claimed energy": ("rlpo", claim("captured_energy", 0.99)),
    "a claimed norm": ("lora", claim("norm", 1.0)),
    "a claimed anchor": ("geora", claim("anchor_norm", 0.0)),
    "a claimed orthonormality": ("pissa", claim("orthonormality_error", 0.0)),
    "claimed singular values": ("pissa", claim("singular_values", [9.0, 3.0, 2.0, 1.0])),
    "claimed singular values of B = 0": ("rlpo", claim("singular_values", [9.0, 3.0, 2.0, 1.0])),
    "claimed singular values of W_Geo": ("geora", claim("singular_values", [9.0, 3.0, 2.0, 1.0])),
    "singular values of a random start": ("lora", claim("singular_values", [9.0, 3.0, 2.0, 1.0])),
    "too few singular values": ("rlpo", claim("singular_values", [3.0])),
    "a claimed residual": ("pissa", claim("residual", 0.5)),
    "no solver": ("pissa", claim("solver", "")),
    "another sigma": ("pissa", lambda d: forge(d, lambda record: record["options"].update(sigma="undivided"))),
    "no sigma": ("geora", lambda d: forge(d, lambda record: record["options"].update(sigma="halved"))),
    "a method without triplets": ("rlpo", lambda d: forge(d, lambda record: record.update(method="lora"))),
    "not anchored": ("rlpo", lambda d: forge(d, lambda record: record.update(anchored=True))),
    "factors of another rank, digests mended": ("rlpo", lambda d: change_factors(d, lambda key, x: x[:3])),
    "factors of another type, digests mended": ("rlpo", lambda d: change_factors(d, lambda key, x: x.bfloat16())),
    "a tensor too many, digests mended": ("rlpo", lambda d: change_factors(d, lambda key, x: x, {"lm_head.weight": 1})),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_adapter_does_not_hold(change: str, made: Path, tmp_path: Path) -> None:
    method, apply = CHANGES[change]
    shutil.copytree(made / method, tmp_path / "changed")
    apply(tmp_path / "changed")
    assert not holds(tmp_path / "changed")


@pytest.fixture(scope="module")
def another_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano with one number of one matrix changed by one unit in the last place."""
    base = tmp_path_factory.mktemp("base") / "other"
    shutil.copytree(NANO_PATH, base)
    weights = load_file(base / "model.safetensors")
    name = "model.layers.2.mlp.down_proj.weight"
    weights[name][0, 0] = torch.nextafter(weights[name][0, 0], torch.tensor(1e9))
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    return base


@pytest.mark.parametrize("method", METHODS)
def test_another_base_is_told_by_its_layer(method: str, made: Path, another_base: Path) -> None:
    wrong = [check for check in verify(made / method, str(another_base)) if not check.holds]
    assert [check.name for check in wrong] == ["model.layers.2.mlp.down_proj"]
    assert "another one" in wrong[0].detail


def test_the_exit_status_is_0_1_or_2(made: Path, another_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, status in (
        ([str(made / "rlpo"), "--base", "nano"], 0),
        ([str(made / "rlpo"), "--base", str(another_base)], 1),
        ([str(made), "--base", "nano"], 2),
    ):
        with pytest.raises(SystemExit) as end:
            main(["verify", *arguments])
        assert end.value.code == status
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["verify", str(made / "rlpo"), "--base", "nano", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["holds"] is True
    assert len(printed["checks"]) == 30  # the files, that all speak of the same layers, and each of 28


def test_a_base_in_another_type_is_one_line(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not one for each of its matrices with figures that differ in the fourth digit."""
    load_model("nano").to(torch.bfloat16).save_pretrained(tmp_path / "rounded")
    with pytest.raises(SystemExit, match="1"):
        main(["verify", str(made / "rlpo"), "--base", str(tmp_path / "rounded")])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert "and 27 more: " in told[0]
    assert "(bfloat16 in the base's files): the same weights in another type" in told[0]


def test_a_base_of_another_size_is_not_taken_for_another_type(made: Path, tmp_path: Path) -> None:
    other = load_model("nano")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.01)
    other.save_pretrained(tmp_path / "other")
    wrong = [check for check in verify(made / "rlpo", str(tmp_path / "other")) if not check.holds]
    assert len(wrong) == 28
    assert not [check for check in wrong if "type" in check.detail]
