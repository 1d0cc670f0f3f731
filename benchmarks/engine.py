"""What a real vLLM plays of the policy that is trained: `.venv-vllm/bin/python -m benchmarks.engine [--parts …]`.

On the CPU, with `make venv-vllm`. The update is read back from the tensors in the engine, not from what was sent.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config

import stiefel
from benchmarks.machine import keep, kept
from benchmarks.synthetic import QWEN25
from scripts.smollm2 import HOME
from stiefel.engine import (
    Colocated,
    LayerFactors,
    largest_rank,
    policy_factors,
    policy_weights,
    rank_served,
    start,
    write_factors,
)
from stiefel.engine.survival import of_factors, together
from stiefel.methods import STARTS
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH
from stiefel.quiet import quiet
from stiefel.recipe.recipe import load_recipe, make_recipe
from stiefel.run import train

DAPO = Path(__file__).parents[1] / "recipes" / "nano" / "dapo.toml"
T_95 = {3: 4.303}  # Student's t for so many values
RANK, SIZES = 8, (1e-2, 1e-3, 1e-4)  # ‖ΔW‖/‖W‖
FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def moved(model: Any, size: float) -> Any:
    """Every factor that trains moved by noise, layer by layer scaled so that ‖ΔW‖ = size·‖W‖."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(
                    torch.randn(parameter.shape, generator=generator) * parameter.abs().mean().clamp(min=1e-2)
                )
        for layer in policy_factors(model):
            W = model.get_base_model().get_submodule(layer.name).get_base_layer().weight.double()
            shrink(model, layer.name, size * float(W.norm()), float((layer.B.double() @ layer.A.double()).norm()))
    return model


def shrink(model: Any, name: str, wanted: float, found: float) -> None:
    """Scale one layer's change: of a start with B₀ = 0 by its B, of an anchored one by both of its changes."""
    module = model.get_base_model().get_submodule(name)
    A, B = module.lora_A["default"], module.lora_B["default"]
    if isinstance(B, torch.nn.Linear):
        B.weight.mul_(wanted / found)
        return
    low, high = 0.0, 1.0  # ‖ΔB·A + B₀·ΔA‖ grows with a common factor of both
    dA, dB = A.delta.clone(), B.delta.clone()
    for _ in range(40):
        middle = (low + high) / 2
        A.delta.copy_(middle * dA)
        B.delta.copy_(middle * dB)
        size = float((B.weight.double() @ A.weight.double()).norm()) * module.scaling["default"]
        low, high = (middle, high) if size < wanted else (low, middle)


def in_the_engine(llm: Any, names: set[str], rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    """(A, B) of every layer as the engine multiplies them, by the checkpoint's names of the layers."""
    from vllm.lora.layers import BaseLayerWithLoRA

    model = llm.llm_engine.model_executor.driver_worker.model_runner.model
    found = {}
    for name, module in model.named_modules():
        if not isinstance(module, BaseLayerWithLoRA):
            continue
        path, _, last = name.rpartition(".")
        for number, part in enumerate(FUSED.get(last, (last,))):
            if f"{path}.{part}" in names:  # not the embedding, which has room for one too
                A, B = module.lora_a_stacked[number][0, 0], module.lora_b_stacked[number][0, 0]
                found[f"{path}.{part}"] = (A[:rank].clone(), B[:, :rank].clone())
    return found


def survival(size: float, method: str, engine: Colocated) -> dict[str, float]:
    """What a bf16 engine plays of an update of that size, from its own tensors."""
    model = moved(stiefel.attach(load_model("nano", "bfloat16"), method, r=RANK, alpha=2 * RANK), size)
    trained = list(policy_factors(model))
    engine.play(lambda out: write_factors([layer.to(torch.bfloat16) for layer in trained], "nano", out))
    engine.complete([[1, 2]], [{"max_tokens": 1}])  # which puts it in place
    held = in_the_engine(engine.llm, {layer.name for layer in trained}, largest_rank(model))
    layers = [of_factors(layer, LayerFactors(layer.name, *held[layer.name])) for layer in trained]
    every = together(layers)
    return {"survival": every.survival, "error": every.error, "worst_layer": min(layer.survival for layer in layers)}


def survivals() -> dict[str, Any]:
    """Every LoRA start at every size, and the same update merged and rounded."""
    llm = start(
        {"model": str(NANO_PATH), "dtype": "bfloat16", "max_model_len": 64, "enable_lora": True}
        | {"max_lora_rank": rank_served(2 * RANK), "max_loras": 1}
    )
    engine, found = Colocated(llm, torch.bfloat16), dict[str, Any]()  # dropped, it would end the engine
    for size in SIZES:
        found[f"{size:g}"] = {method.name: survival(size, method.name, engine) for method in STARTS}
        found[f"{size:g}"]["merged"] = merged(size)
    return found


def merged(size: float) -> dict[str, float]:
    """The same of an RLPO update that is merged."""
    from stiefel.engine.survival import of_weights

    model = moved(stiefel.attach(load_model("nano", "bfloat16"), "rlpo", r=RANK, alpha=2 * RANK), size)
    layers = []
    for _ in policy_weights(model, lambda name, base, whole, sent: layers.append(of_weights(base, whole, sent))):
        pass
    every = together(layers)
    return {"survival": every.survival, "error": every.error, "worst_layer": min(layer.survival for layer in layers)}


def bytes_per_sync() -> dict[str, Any]:
    """Factors against every weight at Qwen2.5-1.5B's shapes, 28 layers, rank 16, in bfloat16: sizes, no numbers."""
    sizes = QWEN25["1.5B"]
    config = Qwen2Config(
        vocab_size=151_936,
        hidden_size=sizes["hidden_size"],
        intermediate_size=sizes["intermediate_size"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        num_key_value_heads=sizes["key_value_heads"],
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    whole = sum(parameter.nbytes for parameter in model.parameters())
    layers = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
    factors = {k: sum(2 * k * (m.in_features + m.out_features) for m in layers) for k in (16, 32)}
    return {
        "merged": whole,
        "factors": factors[16],
        "anchored_factors": factors[32],
        "times_fewer": whole / factors[16],
        "times_fewer_anchored": whole / factors[32],
    }


def mismatches(rollouts: int = 10) -> dict[str, Any]:
    """Mean |log π_trainer − log π_engine| at every rollout of a run on nano in float32."""
    recipe = {
        "adapter": {"method": "pissa", "rank": RANK, "alpha": 2 * RANK},
        "rollout": {"engine": "vllm"},
        "optim": {"rollouts": rollouts, "lr": 1e-4},
        "run": {"threads": 2, "save_every": 0},
    }
    with tempfile.TemporaryDirectory() as place:
        train(make_recipe(recipe), Path(place) / "run")
        rows = [json.loads(line) for line in (Path(place) / "run" / "metrics.jsonl").read_text().splitlines()]
    every = [row["engine_mismatch"] for row in rows]
    return {"rollouts": rollouts, "largest": max(every), "median": statistics.median(every)}


def learning(seeds: int = 3) -> dict[str, Any]:
    """recipes/nano/dapo.toml with each engine: the mean reward of the last 15 rollouts, and the scores after."""
    found: dict[str, Any] = {}
    for engine in ("hf", "vllm"):
        rewards, scores, mismatch = [], [], 0.0
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as place:
                changes = [f"run.seed={seed}", f"rollout.engine='{engine}'", "run.save_every=0"]
                train(load_recipe(DAPO, changes), Path(place) / "run")
                rows = [json.loads(line) for line in (Path(place) / "run" / "metrics.jsonl").read_text().splitlines()]
                evaluation = json.loads((Path(place) / "run" / "eval.json").read_text())
            rewards.append(statistics.fmean(row["reward"] for row in rows[-15:]))
            scores.append({task: one["after"]["mean"] for task, one in evaluation.items()})
            mismatch = max(mismatch, *(row.get("engine_mismatch", 0.0) for row in rows))
        middle, half = statistics.fmean(rewards), statistics.stdev(rewards) / seeds**0.5 * T_95[seeds]
        found[engine] = {"rewards": rewards, "mean": middle, "interval": [middle - half, middle + half]}
        found[engine] |= {"after": scores, "largest_mismatch": mismatch}
    return found


def kept_bytes(model: Any, ids: Tensor) -> int:
    """Bytes that autograd saves of a forward pass under autocast, each storage once, beside those that live anyway."""
    living = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in living:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        loss = model(input_ids=ids, logits_to_keep=1).logits.float().sum()  # the head's logits would outweigh all else
    total = sum(storages.values())
    loss.backward()
    return total


def activations() -> dict[str, Any]:
    """Four layers of SmolLM2's shapes in bfloat16, 4 × 256 tokens: an anchored method over PEFT's LoRA, rank 16."""
    from peft import LoraConfig, get_peft_model

    config = AutoConfig.from_pretrained(HOME)
    config.num_hidden_layers = 4
    ids = torch.randint(100, 40000, (4, 256), generator=torch.Generator().manual_seed(0))

    def base() -> Any:
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)

    lora = kept_bytes(get_peft_model(base(), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")), ids)
    found = {
        name: kept_bytes(stiefel.attach(base(), name, r=16, alpha=32, cache=False), ids) for name in ("pissa", "geora")
    }
    return {"lora_bytes": lora, "ratio": {name: size / lora for name, size in found.items()}}


def speed(completions: int = 32, tokens: int = 64) -> dict[str, Any]:
    """Tokens a second of vLLM and of transformers on SmolLM2-135M, each in a process of its own, float32."""
    found = {}
    for who in ("vllm", "transformers"):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"from benchmarks.engine import write_with; write_with({who!r}, {completions}, {tokens})",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        found[who] = float(done.stdout.split()[-1])
    return {**found, "ratio": found["vllm"] / found["transformers"]}


def write_with(who: str, completions: int, tokens: int) -> None:
    """Print tokens a second, the second of two rounds."""
    quiet()
    torch.set_num_threads(2)
    prompts = [list(range(500 + n, 516 + n)) for n in range(completions)]
    rounds = []
    if who == "vllm":
        from vllm import SamplingParams

        llm = start({"model": str(HOME), "dtype": "float32", "max_model_len": 128, "generation_config": "vllm"})
        sampling = SamplingParams(max_tokens=tokens, ignore_eos=True, temperature=1.0, seed=0)
        for _ in range(2):
            began = time.perf_counter()
            llm.generate([{"prompt_token_ids": p} for p in prompts], sampling, use_tqdm=False)
            rounds.append(time.perf_counter() - began)
    else:
        model = load_model(str(HOME))
        ids = torch.tensor(prompts)
        for _ in range(2):
            began = time.perf_counter()
            with torch.inference_mode():
                model.generate(input_ids=ids, do_sample=True, top_k=0, min_new_tokens=tokens, max_new_tokens=tokens)
            rounds.append(time.perf_counter() - began)
    print(completions * tokens / rounds[-1])


PARTS: dict[str, Callable[[], Any]] = {
    "survival": survivals,
    "bytes": bytes_per_sync,
    "mismatch": mismatches,
    "learning": learning,
    "activations": activations,
    "speed": speed,
}


def main() -> None:
    """Run what is asked for and keep it; parts that are not measured again stay as they were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    chosen = parser.parse_args().parts.split(",")
    quiet()
    os.environ["HF_HUB_OFFLINE"] = "1"
    results = kept("engine")
    for part in chosen:
        results[part] = PARTS[part]()
        print(part, json.dumps(results[part]), flush=True)
    keep("engine", results)


if __name__ == "__main__":
    main()
