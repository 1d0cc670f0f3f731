"""Geometry of hand-made runs: geometry.jsonl and inspection.json with numbers that a test can recompute."""

from __future__ import annotations

import hashlib
import json
import math
import random
from pathlib import Path
from typing import Any

from stiefel.report.inspections import FORMAT

KINDS = {"self_attn.q_proj": (32, 32), "self_attn.o_proj": (32, 32), "mlp.gate_proj": (48, 32), "mlp.up_proj": (48, 32)}
DEPTHS, RANK = 4, 8


def add_geometry(run: Path, *, seed: int = 0, steps: tuple[int, ...] = (1, 5, 10), factor: bool = True) -> list[Any]:
    """Write geometry.jsonl as `GeometryCallback` does; returns its rows."""
    noise = random.Random(seed)
    rows = []
    for step in steps:
        layers = []
        for depth in range(DEPTHS):
            for kind in KINDS:
                row: dict[str, Any] = {"name": f"model.layers.{depth}.{kind}", "delta_norm": 0.1 * step}
                if factor:
                    row |= {"similarity_top": noise.uniform(0.3, 0.9), "similarity_bottom": noise.uniform(0.1, 0.4)}
                layers.append(row)
        rows.append({"step": step, "summary": {}, "layers": layers, "seconds": 0.1})
    (run / "geometry.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def add_inspection(run: Path, *, seed: int = 0, anchored: bool = False, changed: bool = True) -> list[dict[str, Any]]:
    """Write an adapter directory and the inspection that belongs to it; returns the latter's layers."""
    (run / "adapter").mkdir()
    (run / "adapter" / "adapter_model.safetensors").write_bytes(bytes([seed]) * 64)
    noise = random.Random(seed)
    layers = [
        matrix(f"model.layers.{depth}.{kind}", kind, depth, shape, noise, anchored=anchored, changed=changed)
        for depth in range(DEPTHS)
        for kind, shape in KINDS.items()
    ]
    digest = hashlib.sha256((run / "adapter" / "adapter_model.safetensors").read_bytes()).hexdigest()
    belongs_to = {"format": FORMAT, "files": {"adapter_model.safetensors": digest}, "base": {}}
    (run / "inspection.json").write_text(json.dumps({"belongs_to": belongs_to, "summary": {}, "layers": layers}))
    return layers


def matrix(
    name: str, kind: str, depth: int, shape: tuple[int, int], noise: random.Random, *, anchored: bool, changed: bool
) -> dict[str, Any]:
    """One layer as `stiefel inspect --json` prints it, as far as figures read it."""
    k = min(shape)
    before = [4.0 * math.exp(-0.1 * i) for i in range(k)]
    after = [value * (1 + 0.01 * noise.random()) for value in before]
    found: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "depth": depth,
        "shape": shape,
        "directions": RANK,
        "delta_norm": float(changed),
        "singular_values": before[:RANK],
        "singular_values_bottom": before[-RANK:],
        "s_head_chance": RANK * (1 / shape[0] + 1 / shape[1]) / 2,
        "spectrum": {"positive": k, "mean": sum(before) / k},
        **dict.fromkeys(("s_head", "s_head_left", "s_head_right", "nss", "update", "product", "spectra")),
    }
    if changed:
        head = noise.uniform(0.1, 0.9)
        found |= {"s_head": head, "s_head_left": head, "s_head_right": head, "nss": noise.uniform(0.001, 0.02)}
        found |= {"update": curve(k, noise), "product": curve(k, noise) if anchored else None}
        found |= {"spectra": {"places": list(range(1, k + 1)), "before": before, "after": after}}
    return found


def curve(k: int, noise: random.Random) -> dict[str, list[float]]:
    """p_i and E_i of random c_i."""
    c = [abs(noise.gauss(0, 1)) for _ in range(k)]
    squares = [value * value for value in c]
    return {
        "distribution": [value / sum(c) for value in c],
        "energy": [sum(squares[: i + 1]) / sum(squares) for i in range(k)],
    }
