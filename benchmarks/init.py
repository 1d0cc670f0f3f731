"""`stiefel init` against full SVDs, PEFT and the limit: `python -m benchmarks.init [--layers 4] [--seven-b]`."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

import stiefel
from benchmarks import solvers
from benchmarks.machine import device, keep, kept, seconds
from benchmarks.synthetic import shapes, write_checkpoint
from stiefel.quiet import quiet

PEAK = "from stiefel.memory import peak_resident_bytes; print(peak_resident_bytes())"
COMMAND = (
    "import sys, time; began = time.perf_counter()\n"
    "from stiefel.cli import guarded, cli\n"
    "status = guarded(lambda: cli.main(args=sys.argv[1:], standalone_mode=False))\n"
    "from stiefel.memory import peak_resident_bytes\n"
    "print(status, time.perf_counter() - began, peak_resident_bytes())"
)


def command(checkpoint: Path, method: str, rank: int = 16, cache: Path | None = None) -> tuple[float, float]:
    """(seconds, peak resident MB) of the whole command in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        arguments = ["init", str(checkpoint), "--method", method, "--rank", str(rank), "--alpha", str(2 * rank)]
        arguments += ["--out", f"{out}/adapter"] + ([] if cache else ["--no-cache"])
        environment = {**os.environ, "STIEFEL_CACHE": str(cache or out)}
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, env=environment, check=True
        )
        status, elapsed, peak = done.stdout.split("\n")[-2].split()
        assert status == "0", done.stderr
        return float(elapsed), float(peak) / 2**20


def net(checkpoint: Path, tiny: Path, method: str) -> float:
    """Seconds of the command less those of the same command on a tiny checkpoint: what the matrices cost.

    The median of three: starting the interpreter alone varies by a second.
    """
    whole, start = ([command(place, method)[0] for _ in range(3)] for place in (checkpoint, tiny))
    return statistics.median(whole) - statistics.median(start)


def read_and_svd(checkpoint: Path, svds: int) -> float:
    """Seconds to read every target, solve it fully in float32 and write factors: the direct way."""

    def work() -> None:
        factors = {}
        for shard in sorted(checkpoint.glob("*.safetensors")):
            with safe_open(shard, "pt") as file:
                for name in file.keys():  # noqa: SIM118
                    if not name.endswith("_proj.weight"):
                        continue
                    W = file.get_tensor(name).to(device(), torch.float32)
                    if svds == 2:
                        solvers.geora_by_full_svds(W)
                    U, _, Vh = torch.linalg.svd(W, full_matrices=False) if svds == 1 else (W[:, :16], W, W[:16])
                    factors[f"{name}.A"], factors[f"{name}.B"] = (
                        Vh[:16].cpu().contiguous(),
                        U[:, :16].cpu().contiguous(),
                    )
        with tempfile.TemporaryDirectory() as out:
            save_file(factors, f"{out}/factors.safetensors")

    return seconds(work)


def limit(checkpoint: Path) -> float:
    """Seconds to read every target once and multiply it once by an (n × 32) matrix."""

    def work() -> None:
        for shard in sorted(checkpoint.glob("*.safetensors")):
            with safe_open(shard, "pt") as file:
                for name in file.keys():  # noqa: SIM118
                    if name.endswith("_proj.weight"):
                        W = file.get_tensor(name).to(device(), torch.float32)
                        W @ torch.ones(W.shape[1], 32, device=W.device)

    return seconds(work, 3)


def against_peft(checkpoint: Path) -> dict[str, Any]:
    """`attach` with PiSSA against PEFT's `pissa_niter_4` on the same loaded model, and the energy each captures."""

    def fresh() -> Any:
        return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).to(device())

    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights="pissa_niter_4")
    base = fresh()
    torch.manual_seed(0)
    times: dict[str, list[float]] = {"peft": [], "stiefel": []}
    for _ in range(3):  # in turns, after each other's warm-up
        theirs, ours, adapted = fresh(), fresh(), list[Any]()
        times["peft"].append(seconds(lambda theirs=theirs: get_peft_model(theirs, config)))
        times["stiefel"].append(
            seconds(
                lambda ours=ours, adapted=adapted: adapted.append(
                    stiefel.attach(ours, "pissa", r=16, alpha=32, cache=False)
                )
            )
        )
    peft_seconds, ours_seconds = (statistics.median(found) for found in times.values())
    captured: dict[str, list[float]] = {"peft": [], "stiefel": []}
    for name, module in adapted[0].get_base_model().named_modules():
        if not (name.startswith("model.layers.0.") and name.endswith("_proj")):
            continue  # one layer has every shape
        W = base.get_submodule(name).weight.detach().to(torch.float64)
        best = torch.linalg.svdvals(W if W.shape[0] >= W.shape[1] else W.T)[:16].square().sum()
        factors = {
            "peft": theirs.get_submodule(name).lora_A["default"].weight,
            "stiefel": module.lora_A["default"].anchor,
        }
        for who, A in factors.items():
            Q = torch.linalg.qr(A.detach().T.to(torch.float64))[0]
            captured[who].append(float((W @ Q).square().sum() / best))
    return {
        "peft_seconds": peft_seconds,
        "stiefel_seconds": ours_seconds,
        "ratio": ours_seconds / peft_seconds,
        "peft_worst_energy": min(captured["peft"]),
        "stiefel_worst_energy": min(captured["stiefel"]),
    }


def torch_megabytes() -> float:
    """Resident MB of the interpreter with torch imported."""
    done = subprocess.run([sys.executable, "-c", f"import torch; {PEAK}"], capture_output=True, text=True, check=True)
    return int(done.stdout) / 2**20


def memory(work: Path, layers: tuple[int, int]) -> dict[str, Any]:
    """Peak MB above torch for two depths, against 3 × the largest matrix in float32 + 300."""
    largest = max(m * n for m, n in shapes("1.5B").values()) * 4 / 2**20
    found: dict[str, Any] = {"bound_mb": 3 * largest + 300, "above_torch_mb": {}}
    torch_mb = torch_megabytes()
    for depth in layers:
        checkpoint = work / f"depth-{depth}"
        write_checkpoint(checkpoint, "1.5B", depth)
        found["above_torch_mb"][str(depth)] = {
            method: command(checkpoint, method)[1] - torch_mb for method in ("rlpo", "geora")
        }
        shutil.rmtree(checkpoint)
    return found


def prepared(checkpoint: Path, method: str, rank: int = 16, *, cache: bool = False) -> float:
    """Seconds of `stiefel.prepare`, reading and writing included, in this process: the median of three.

    Starting the interpreter varies by more than small checkpoints take.
    """

    def work() -> None:
        with tempfile.TemporaryDirectory() as out:
            stiefel.prepare(str(checkpoint), method, Path(out) / "adapter", r=rank, alpha=2 * rank, cache=cache)

    return seconds(work, 3)


def growth(work: Path, checkpoint: Path) -> dict[str, Any]:
    """Seconds of RLPO and RLMO over rank, layers and width."""
    methods = ("rlpo", "rlmo")
    found: dict[str, Any] = {
        "rank": {str(r): {m: prepared(checkpoint, m, r) for m in methods} for r in (8, 16, 32, 64, 128)}
    }
    for over, sizes in (("layers", (1, 2, 4, 8)), ("width", (0.5, 1.0, 2.0))):
        found[over] = {}
        for size in sizes:
            place = work / f"{over}-{size}"
            write_checkpoint(place, "1.5B", *((size,) if over == "layers" else (1, size)))
            found[over][str(size)] = {method: prepared(place, method) for method in methods}
            shutil.rmtree(place)
    return found


def seven_b(work: Path) -> dict[str, Any]:
    """The paper's Table 7: Qwen2.5-7B's shapes at rank 32, all 28 layers, whole command."""
    checkpoint = work / "7B"
    write_checkpoint(checkpoint, "7B", 28)
    torch_mb = torch_megabytes()
    found: dict[str, Any] = {
        "rank": 32,
        "layers": 28,
        "paper": "3.5 min and 16.0 GiB on one A100 (RLPO paper, Table 7)",
    }
    for method in ("rlpo", "rlmo"):
        elapsed, peak = command(checkpoint, method, 32)
        found[method] = {"minutes": elapsed / 60, "peak_gib": peak / 1024, "above_torch_gib": (peak - torch_mb) / 1024}
    shutil.rmtree(checkpoint)
    return found


def commands(checkpoint: Path, tiny: Path) -> dict[str, Any]:
    """The whole command of four methods against reading and full SVDs, and as a multiple of the limit."""
    direct = {"one": read_and_svd(checkpoint, 1), "two": read_and_svd(checkpoint, 2)}
    mine = {method: net(checkpoint, tiny, method) for method in ("rlpo", "pissa", "rlmo", "geora")}
    fastest = limit(checkpoint)
    return {
        "direct_seconds": direct,
        "net_seconds": mine,
        "ratio": {method: direct["two" if method == "geora" else "one"] / mine[method] for method in mine},
        "limit_seconds": fastest,
        "multiple_of_the_limit": {method: mine[method] / fastest for method in mine},
    }


def warm_cache(checkpoint: Path) -> dict[str, float]:
    """A second method that reads what the first one solved."""
    cold = prepared(checkpoint, "pissa")
    prepared(checkpoint, "rlpo", cache=True)
    warm = prepared(checkpoint, "pissa", cache=True)
    return {"cold": cold, "second_method": warm, "ratio": cold / warm}


PARTS = ("solvers", "command", "cache", "peft", "memory", "growth")


def main() -> None:
    """Run what is asked for and keep it; parts that are not measured again stay as they were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--seven-b", action="store_true", help="only the 7B shapes: 15 GB of disk")
    parser.add_argument("--work", type=Path, default=None, help="where the synthetic checkpoints go")
    arguments = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory(dir=arguments.work) as place:
        work = Path(place)
        if arguments.seven_b:
            print(keep("init-7b", seven_b(work)))
            return
        os.environ["STIEFEL_CACHE"] = str(work / "cache")
        tiny, checkpoint = work / "tiny", work / "checkpoint"
        write_checkpoint(tiny, "1.5B", 1, width=1 / 12)
        write_checkpoint(checkpoint, "1.5B", arguments.layers)
        measures: dict[str, Callable[[], Any]] = {
            "solvers": solvers.compare,
            "command": lambda: commands(checkpoint, tiny),
            "cache": lambda: warm_cache(checkpoint),
            "peft": lambda: against_peft(checkpoint),
            "memory": lambda: memory(work, (4, 16)),
            "growth": lambda: growth(work, checkpoint),
        }
        chosen = arguments.parts.split(",")
        earlier = {} if set(chosen) == set(PARTS) else kept("init")
        assert earlier.get("layers", arguments.layers) == arguments.layers, "parts of two checkpoints in one table"
        results = {**earlier, "layers": arguments.layers}
        for part in chosen:
            results[part] = measures[part]()
        print(keep("init", results))


if __name__ == "__main__":
    main()
