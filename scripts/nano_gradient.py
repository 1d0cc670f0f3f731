"""A real policy gradient on nano, in float64: completions that nano sampled, graded, normalised by group."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import stiefel
from stiefel.adapter.anchored import AnchoredFactor
from stiefel.adapter.wrap import ADAPTER, lora_layers
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.tasks import find_task

ROLLOUTS = Path(__file__).parents[1] / "tests" / "training" / "golden.json"  # the same bits on every machine
GROUP = 4


@cache
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Token ids (N, T), the mask of the completions' tokens, and an advantage a row; groups that agree have 0."""
    stored = json.loads(ROLLOUTS.read_text())
    tokenizer, grader = load_tokenizer("nano"), find_task("nano-arithmetic").grader
    rows = [row for row in stored["rows"] for _ in range(GROUP)]
    completions = stored["completions"]
    rewards = torch.tensor(
        [
            grader(tokenizer.decode(ids, skip_special_tokens=True), answer).score
            for ids, (_, answer) in zip(completions, rows, strict=True)
        ],
        dtype=torch.float64,
    ).view(-1, GROUP)
    advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    prompts = [tokenizer(prompt)["input_ids"] for prompt, _ in rows]
    width = max(len(p) + len(c) for p, c in zip(prompts, completions, strict=True))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.float64)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        whole = prompt + completion
        ids[row, : len(whole)] = torch.tensor(whole)
        mask[row, len(prompt) : len(whole)] = 1.0
    return ids, mask, advantages.flatten()


def loss(model: Any) -> Tensor:
    """−Σ Â·log π over the completions' tokens, divided by their number: DAPO's loss at the policy that sampled."""
    ids, mask, advantages = batch()
    logps = torch.log_softmax(model(input_ids=ids).logits[:, :-1], dim=-1)
    taken = logps.gather(2, ids[:, 1:, None])[:, :, 0]
    return -(advantages[:, None] * taken * mask[:, 1:]).sum() / mask.sum()


@cache
def full_gradients() -> dict[str, Tensor]:
    """G₀ (m, n) of every linear layer."""
    model = load_model("nano").double()
    loss(model).backward()
    found = {name: module.weight.grad for name, module in model.named_modules() if name.endswith("_proj")}
    assert None not in found.values()
    return found


@cache
def weights() -> dict[str, Tensor]:
    """W (m, n) of every linear layer."""
    model = load_model("nano").double()
    return {name: module.weight.detach() for name, module in model.named_modules() if name.endswith("_proj")}


def first_steps(method: str, r: int, alpha: int, lr: float, **options: str) -> dict[str, dict[str, Tensor]]:
    """One step of plain gradient descent on every factor: A₀, B₀ and ΔW₁ of each layer."""
    model = stiefel.attach(load_model("nano"), method, r=r, alpha=alpha, seed=0, **options).double()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    starts = {
        name: tuple(start(side).detach().clone() for side in (layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]))
        for name, layer in lora_layers(model)
    }
    loss(model).backward()
    torch.optim.SGD(trained, lr=lr).step()
    found = {}
    for name, layer in lora_layers(model):
        A, B = (side[ADAPTER].weight.detach() for side in (layer.lora_A, layer.lora_B))
        found[name] = {"A": starts[name][0], "B": starts[name][1], "change": layer.scaling[ADAPTER] * B @ A}
    return found


def start(factor: Any) -> Tensor:
    """A₀ or B₀."""
    found = factor.anchor if isinstance(factor, AnchoredFactor) else factor.weight
    assert isinstance(found, Tensor)
    return found
