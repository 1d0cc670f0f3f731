"""Which architectures work: every family of `benchmarks.families` is made, adapted, trained, saved, loaded, exported.

`python -m benchmarks.models` keeps results/models.json, in minutes, with no network. `--vllm DIRECTORY` also reads
there, in the sources of an unpacked or installed vLLM, whether its class of each family takes a LoRA; what an earlier
run read is kept.
"""

from __future__ import annotations

import argparse
import ast
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from trl.trainer.utils import add_fused_lm_head

import stiefel
from benchmarks.families import FAMILIES, Tiny, make
from benchmarks.machine import keep, kept
from stiefel.adapter import base_policy, export, verify
from stiefel.artifacts import read_json, read_jsonl, write_json
from stiefel.engine.factors import serves_factors
from stiefel.errors import UserError
from stiefel.model import DTYPES, select_targets
from stiefel.model.targets import ALL_LINEAR
from stiefel.quiet import quiet

RANK = 4
METHODS = ("rlpo", "pissa")  # a start with B₀ = 0, and one around an anchor
IDS = (torch.arange(24) % 26 + 3).view(2, 12)
MERGED = 1e-5  # relative: sums in another order
EXACT = ("float32", "bfloat16")  # float16 has no kernels on a CPU whose sums are always in one order
QUANTISED = ("bitsandbytes", "gptq", "awq", "fp8", "compressed-tensors", "mxfp4")
TYPES = {
    **DTYPES,
    "float64": torch.float64,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "int8": torch.int8,
    "uint8": torch.uint8,
}


def spread(completion: str, answer: str, **row: Any) -> float:
    """A reward in which random completions differ: how many different characters there are."""
    return float(len(set(completion)))


def logits(model: Any) -> Tensor:
    """Of two fixed sequences."""
    with torch.no_grad():
        found: Tensor = model.eval()(input_ids=IDS).logits
    return found


def frozen(model: Any) -> Any:
    """Whose weights do not train, as an adapter's base: on some processors torch convolves the others otherwise."""
    return model.requires_grad_(False)


def settings(targets: str | list[str]) -> dict[str, Any]:
    """What every adapter here is made with."""
    return {"r": RANK, "alpha": 2 * RANK, "target_modules": targets, "cache": False}


def ends(names: list[str]) -> list[str]:
    """Last words of names, once, sorted."""
    return sorted({name.rsplit(".", 1)[-1] for name in names})


def selected(tiny: Tiny, targets: str | list[str]) -> dict[str, Any]:
    """Which layers are taken and what is said to be left out, or why the request is refused."""
    try:
        model = tiny.load()
        stiefel.attach(model, "lora", **settings(targets))
    except UserError as error:
        return {"refused": said(error, tiny), "instead": error.instead}
    selection = select_targets(model.get_base_model() if isinstance(model, PeftModel) else tiny.load(), targets)
    return {"layers": ends([target.name for target in selection.targets]), "left_out": selection.left_out}


def said(error: UserError, tiny: Tiny) -> str:
    """What an error says is wrong, without the place of the model."""
    return error.what.replace(str(tiny.directory), "DIRECTORY")


def starts(tiny: Tiny, targets: str | list[str], dtype: torch.dtype, method: str) -> bool:
    """Whether the policy of an attached start is the base's, to the bit."""
    model = frozen(tiny.load(dtype))
    base = logits(model)
    return torch.equal(logits(stiefel.attach(model, method, **settings(targets))), base)


def prepared(tiny: Tiny, targets: str | list[str], method: str, place: Path) -> bool:
    """Whether what `init` writes holds before `verify`, drawn again, and is what `attach` makes."""
    stiefel.prepare(str(tiny.directory), method, place / "disk", notice=lambda line: None, **settings(targets))
    stiefel.save(stiefel.attach(tiny.load("auto"), method, **settings(targets)), place / "memory")
    checks = verify(place / "disk", str(tiny.directory), method=method)
    one, other = (load_file(place / name / "adapter_model.safetensors") for name in ("disk", "memory"))
    alike = one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    return alike and all(check.holds for check in checks)


def stepped(tiny: Tiny, targets: str | list[str], place: Path) -> dict[str, bool]:
    """Three steps around an anchor: what has a gradient, what the base stays, what is saved, loaded and merged."""
    model = frozen(tiny.load())
    base = logits(model)
    adapted = stiefel.attach(model, "pissa", **settings(targets))
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01)
    adapted.train()
    for _ in range(3):
        optimizer.zero_grad()
        adapted(input_ids=IDS, labels=IDS).loss.backward()
        reached = all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in trained)
        optimizer.step()
    moved = logits(adapted)
    with base_policy(adapted):
        still = torch.equal(logits(adapted), base)
    stiefel.save(adapted, place / "trained")
    export(place / "trained", str(tiny.directory), "lora", place / "lora")
    plain, again = PeftModel.from_pretrained(tiny.load(), place / "lora"), stiefel.load(tiny.load(), place / "trained")
    return {
        "every factor learns": reached and not torch.equal(moved, base),
        "the base stays": still,
        "PEFT plays it": torch.equal(logits(plain), moved),
        "it is loaded again": torch.equal(logits(again), moved),
        "vLLM is sent factors": serves_factors(adapted),
    }


def scored(tiny: Tiny) -> bool:
    """Whether the log-probabilities that TRL trains on, of hidden states and the head, are those of the logits."""
    model: Any = tiny.load()
    plain = torch.log_softmax(logits(model)[:, :-1], dim=-1).gather(-1, IDS[:, 1:, None]).squeeze(-1)
    if model.base_model is model:  # refused by the trainer
        return True
    add_fused_lm_head(model)
    with torch.no_grad():
        fused = model(input_ids=IDS, labels=IDS, fused_lm_head=True).log_probs
    return torch.allclose(fused, plain, rtol=0, atol=MERGED)


def merged(tiny: Tiny, place: Path) -> str:
    """Nothing where the merged model computes what the adapter does, or why there is none."""
    try:
        export(place / "trained", str(tiny.directory), "merged", place / "merged")
    except UserError as error:
        return said(error, tiny)
    adapted = logits(stiefel.load(tiny.load(), place / "trained"))
    whole = logits(Tiny(tiny.name, place / "merged").load())
    off = float((whole - adapted).abs().max() / adapted.abs().max())
    return "" if off < MERGED else f"off by {off:.1g}"


def trains(tiny: Tiny, targets: str | list[str], place: Path) -> str:
    """Nothing where `stiefel train` does a rollout and an update with a gradient, or why not."""
    recipe = {
        "model": {"path": str(tiny.directory)},
        "adapter": {"method": "rlpo", "rank": RANK, "alpha": 2 * RANK, "targets": targets},
        "task": {"name": "nano-arithmetic", "reward": "benchmarks.models:spread"},
        "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
        "optim": {"rollouts": 1, "lr": 1e-3, "updates_per_rollout": 1},
        "run": {"threads": 1, "save_every": 0},
        "eval": {"tasks": []},
    }
    try:
        run = stiefel.train(recipe, place / "run")
    except UserError as error:
        return said(error, tiny)
    row = read_jsonl(run / "metrics.jsonl")[0]
    holds = all(check.holds for check in verify(run, str(tiny.directory)))
    return "" if row["grad_norm"] > 0 and holds else f"grad_norm {row['grad_norm']}, verified: {holds}"


def measured(name: str, place: Path) -> dict[str, Any]:
    """Everything that is kept of a family."""
    tiny, family = make(name, place / "model"), FAMILIES[name]
    found: dict[str, Any] = {
        "class": type(tiny.load()).__name__,
        "named": read_json(tiny.directory / "config.json")["architectures"][0],
        ALL_LINEAR: selected(tiny, ALL_LINEAR),
    }
    targets: str | list[str] = list(family.targets) or ALL_LINEAR
    if family.targets:
        found["by name"] = selected(tiny, targets)
    if "layers" not in found.get("by name", found[ALL_LINEAR]):
        return found
    found["exact"] = [word for word in EXACT if all(starts(tiny, targets, DTYPES[word], method) for method in METHODS)]
    found["certified"] = all(prepared(tiny, targets, method, place / method) for method in METHODS)
    found |= {**stepped(tiny, targets, place), "TRL scores what is played": scored(tiny)}
    return {**found, "merged": merged(tiny, place), "trains": trains(tiny, targets, place)}


def numbers(place: Path) -> dict[str, str]:
    """By the type of a checkpoint's numbers: nothing where its adapter is made and certified, or what `init` says."""
    told: dict[str, str] = {}
    tiny = make("llama", place / "model")
    path, weights = tiny.directory / "config.json", tiny.directory / "model.safetensors"
    config, tensors = read_json(path), load_file(weights)

    def note(name: str) -> None:
        try:
            holds = prepared(tiny, ALL_LINEAR, "pissa", place / name)
        except UserError as error:
            told[name] = said(error, tiny)
        else:
            told[name] = "" if holds else "does not hold"

    for name, dtype in TYPES.items():
        save_file({key: tensor.to(dtype) for key, tensor in tensors.items()}, weights, {"format": "pt"})
        write_json(path, config | {"dtype": name} if name in DTYPES else config)
        note(name)
    for method in QUANTISED:
        write_json(path, config | {"quantization_config": {"quant_method": method}})
        note(method)
    return told


def read_vllm(directory: Path) -> dict[str, str]:
    """Whether vLLM's class of each family takes a LoRA, by its sources: LoRA, transformers, whole or nothing."""
    source = directory / "model_executor" / "models"
    registry: dict[str, tuple[str, str]] = {}
    for node in ast.parse((source / "registry.py").read_text()).body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Dict):
            for key, entry in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(entry, ast.Tuple) and len(entry.elts) == 2:
                    registry.setdefault(str(key.value), ast.literal_eval(entry))

    @cache
    def bases(module: str, name: str) -> frozenset[str]:
        file = source / f"{module.rpartition('.')[2]}.py"
        if not file.is_file():
            return frozenset({name})
        tree = ast.parse(file.read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                above = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                return frozenset({name}).union(*(bases(module, base) for base in above))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and any(a.name == name for a in node.names):
                return bases(node.module, name) if node.module != module else frozenset({name})
        return frozenset({name})

    def word(architecture: str) -> str:
        if architecture not in registry:
            return ""
        module, name = registry[architecture]
        if module == "transformers":
            return "transformers"
        return "LoRA" if "SupportsLoRA" in bases(module, name) else "whole"

    return {name: word(found["named"]) for name, found in kept("models")["families"].items()}


def in_a_directory(work: Callable[[Path], Any]) -> Any:
    """What a piece of work gives in a place of its own."""
    with tempfile.TemporaryDirectory() as place:
        return work(Path(place))


def main() -> None:
    """Measure all, or the named families alone, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="these alone; all without")
    parser.add_argument("--vllm", type=Path, help="a vLLM's directory, whose sources are read")
    parser.add_argument("--vllm-version", default="0.30.0", help="what it is called")
    asked = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = {key: value for key, value in kept("models").items() if key != "machine"}
    families = results.get("families", {})
    for name in asked.families or FAMILIES:
        families[name] = in_a_directory(lambda place, name=name: measured(name, place))
        results["families"] = {each: families[each] for each in FAMILIES if each in families}
        keep("models", results)
    results["numbers"] = in_a_directory(numbers)
    keep("models", results)
    if asked.vllm:
        keep("models", results | {"vllm": {"version": asked.vllm_version, "takes": read_vllm(asked.vllm)}})


if __name__ == "__main__":
    main()
