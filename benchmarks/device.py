"""A check for a machine with a GPU, in one call of under eight minutes: `python -m benchmarks.device --out FILE.json`.

It takes torch, transformers and PEFT as that machine has them, and from `--wheels DIR` what else is missing there:
lazy_loader (any platform) and xxhash (of that machine's Python and platform), 0.3 MB in all. Elsewhere
`pip download --no-deps --only-binary=:all: --python-version 3.12 -d DIR lazy_loader xxhash` fetches them. It asks no
registry and no hub, and says what it left out and why. `--small` runs all of it anywhere.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

SECONDS = 480.0
RANK = 16
ANCHORED = ("pissa", "milora", "geora", "olora")
SRC = Path(__file__).parents[1] / "src"
NEEDED = {  # by part, of what such a machine may lack
    "training": ("transformers", "peft", "safetensors", "xxhash", "lazy_loader"),
    "starts_7b": ("transformers", "safetensors", "xxhash", "lazy_loader"),
    "generation": ("transformers", "peft", "safetensors", "xxhash", "lazy_loader", "pydantic", "vllm"),
}
PACKAGES = ("torch", "transformers", "peft", "safetensors", "vllm", "triton")


def seconds(work: Callable[[], object], repeats: int, warm_up: int = 0) -> float:
    """The median, the GPU's queue emptied on both sides."""
    times = []
    for number in range(warm_up + repeats):
        synchronize()
        began = time.perf_counter()
        work()
        synchronize()
        if number >= warm_up:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def synchronize() -> None:
    """Wait for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def device() -> str:
    """Where the tensors are."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def starts_of_7b(*, small: bool) -> dict[str, Any]:
    """Every target of Qwen2.5-7B's shapes, made on the device, solved one after the other: seconds of each start."""
    from benchmarks.synthetic import QWEN25, shapes
    from stiefel.methods import Layer, find_method

    width, layers = (1 / 16, 1) if small else (1.0, int(QWEN25["7B"]["layers"]))
    found: dict[str, Any] = {"layers": layers, "rank": RANK}
    for name in ("rlpo", "pissa", "geora"):
        method, total = find_method(name), 0.0
        for number in range(layers):
            for place, (m, n) in enumerate(shapes("7B", width).values()):
                W = power_law_here(m, n, 100 * number + place)
                layer = Layer(f"{number}.{place}", W, RANK, 2.0, 0, method.resolve_options({}))
                total += seconds(lambda layer=layer, method=method: method.factors(layer), 1)
        found[name] = total
    return found


def power_law_here(m: int, n: int, seed: int) -> torch.Tensor:
    """0.02·G + Σ_{j≤64} 30·j^−0.7·u_j v_jᵀ in bfloat16, on the device."""
    generator = torch.Generator(device()).manual_seed(seed)
    U, V = (torch.linalg.qr(torch.randn(k, 64, generator=generator, device=device()))[0] for k in (m, n))
    sigma = 30 * torch.arange(1, 65, dtype=torch.float32, device=device()) ** -0.7
    return (0.02 * torch.randn(m, n, generator=generator, device=device()) + (U * sigma) @ V.T).bfloat16()


def model_of_1_5b(*, small: bool) -> Any:
    """Qwen2 of 1.5B's shapes in bfloat16, random."""
    from transformers import AutoModelForCausalLM, Qwen2Config

    from benchmarks.synthetic import QWEN25

    sizes = QWEN25["1.5B"]
    config = Qwen2Config(
        vocab_size=2048 if small else 151_936,
        hidden_size=96 if small else sizes["hidden_size"],
        intermediate_size=256 if small else sizes["intermediate_size"],
        num_hidden_layers=2 if small else sizes["layers"],
        num_attention_heads=3 if small else sizes["heads"],
        num_key_value_heads=1 if small else sizes["key_value_heads"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with torch.device(device()):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def step_of(model: Any, ids: torch.Tensor) -> tuple[float, float | None]:
    """(seconds, peak MiB) of a training step under autocast: loss, gradient, AdamW on what trains."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)

    def step() -> None:
        with torch.autocast(device(), torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    gc.collect()  # of the model before
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elapsed = seconds(step, 10, warm_up=3)
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return elapsed, peak


def training_steps(*, small: bool) -> dict[str, Any]:
    """Ours over PEFT's LoRA of the same rank, 8 × 512 tokens: plain LoRA and every anchored start."""
    from peft import LoraConfig, get_peft_model

    import stiefel

    ids = torch.randint(0, 2000, (8, 32 if small else 512), device=device())
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")
    theirs = get_peft_model(model_of_1_5b(small=small), config)
    base_seconds, base_peak = step_of(theirs, ids)
    found: dict[str, Any] = {"peft_lora": {"seconds": base_seconds, "peak_mib": base_peak}}
    del theirs
    for name in ("lora", *ANCHORED):
        model = stiefel.attach(model_of_1_5b(small=small), name, r=RANK, alpha=2 * RANK, cache=False)
        elapsed, peak = step_of(model, ids)
        found[name] = {
            "seconds": elapsed,
            "peak_mib": peak,
            "time_over_peft": elapsed / base_seconds,
            "memory_over_peft": peak / base_peak if peak and base_peak else None,
        }
        del model
    return found


def generation(*, small: bool) -> dict[str, Any]:
    """Tokens a second of vLLM with an anchored adapter beside the model, and what of the update it plays in bf16."""
    import stiefel
    from stiefel.engine import Colocated, of_factors, policy_factors, rank_served, together, write_factors
    from stiefel.engine import start as start_engine

    prompts, tokens = (8, 16) if small else (256, 128)
    with tempfile.TemporaryDirectory() as place:
        base = model_of_1_5b(small=small)
        base.save_pretrained(place)
        model = stiefel.attach(base.cpu(), "pissa", r=RANK, alpha=2 * RANK, cache=False)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(1e-4 * torch.randn_like(parameter))
        settings = {"model": place, "dtype": "bfloat16", "max_model_len": 512, "skip_tokenizer_init": True}
        settings |= {"enable_lora": True, "max_lora_rank": rank_served(2 * RANK), "gpu_memory_utilization": 0.5}
        llm = start_engine(settings)
    layers = list(policy_factors(model))
    sent = [layer.to(torch.bfloat16) for layer in layers]
    engine = Colocated(llm, torch.bfloat16)
    sync = seconds(lambda: engine.play(lambda out: write_factors(sent, "base", out)), 3)
    every = together(of_factors(a, b) for a, b in zip(layers, sent, strict=True))
    asked = [list(range(100 + n, 164 + n)) for n in range(prompts)]
    request = {"max_tokens": tokens, "ignore_eos": True, "detokenize": False, "temperature": 1.0, "seed": 0}
    elapsed = seconds(lambda: engine.complete(asked, [request] * prompts), 2, warm_up=1)
    return {
        "tokens_per_second": prompts * tokens / elapsed,
        "sync_seconds": sync,
        "sync_bytes": sum(layer.nbytes for layer in sent),
        "survival": every.survival,
        "error": every.error,
    }


def versions() -> dict[str, str]:
    """Of what is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "training": training_steps,
    "starts_7b": starts_of_7b,
    "generation": generation,
}


def main() -> None:
    """Run what fits into the time, and write one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--wheels", type=Path, default=None, help="a directory of pure wheels that are used where needed"
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    arguments = parser.parse_args()
    sys.path.insert(0, str(SRC))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        for wheel in sorted(arguments.wheels.glob("*.whl")) if arguments.wheels else []:
            zipfile.ZipFile(wheel).extractall(place)
        sys.path.append(place)
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
        results: dict[str, Any] = {"device": name, "small": arguments.small, "versions": versions(), "left_out": {}}
        for part in arguments.parts.split(","):
            missing = [name for name in NEEDED[part] if find_spec(name) is None]
            gone = time.monotonic() - began
            if missing:
                results["left_out"][part] = f"not installed here: {', '.join(missing)}"
            elif gone > 0.75 * SECONDS:
                results["left_out"][part] = f"{gone:.0f} s were gone"
            else:
                try:
                    results[part] = PARTS[part](small=arguments.small)
                except Exception as error:  # noqa: BLE001  a part that fails must not cost what the others measured
                    results["left_out"][part] = f"{type(error).__name__}: {error}"
            results["seconds"] = time.monotonic() - began
            arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
