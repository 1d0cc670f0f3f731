"""What test_processes.py does in one process and in two, under DDP and FSDP2: updates on given completions,
whole runs, one of them gone on with, sharded weights, and what goes wrong in one process alone."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import xxhash
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from trl.trainer.utils import add_fused_lm_head

import stiefel
from benchmarks.allocations import held, tensor_peak
from stiefel.cli.ending import end
from stiefel.engine import policy_weights
from stiefel.errors import UserError
from stiefel.foresight.memory_needed import needed
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.quiet import quiet
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.tasks import find_task
from stiefel.training.probabilities import NoProbabilities, finite_logits
from stiefel.training.processes import in_all_or_none, sharded_launch
from stiefel.training.rewards import GradedReward
from stiefel.training.settings import grpo_config
from stiefel.training.sharding import shard_base
from tests.foresight.test_memory_needed import adapted, step_of, training

from .golden import GOLDEN

UPDATES, RATE = 2, 0.1
CAP = 1e-5  # nats a token, which such steps pass
GIVEN = {
    "optim": {"rollouts": UPDATES, "updates_per_rollout": 1, "lr": RATE},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 48},
}
RUN = {
    "adapter": {"method": "pissa"},
    "optim": {"rollouts": 2, "updates_per_rollout": 2, "lr": 1e-3, "weight_decay_on": "factors"},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 24},
    "algorithm": {"dynamic_sampling": True, "max_gen_batches": 3},
    "run": {"threads": 1, "kl_every": 1, "save_every": 1, "geometry_every": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 3, "every": 1},
}
ROUNDED = {
    "model": {"dtype": "bfloat16", "compute": "bfloat16"},
    "adapter": {"method": "rlpo+dora+lora_fa"},
    "optim": {"rollouts": 1, "updates_per_rollout": 1, "micro_batch": 2, "activation_checkpointing": True},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 16},
    "run": {"threads": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 1},
}
SUPERVISED = {
    "adapter": {"method": "ln_tuning"},
    "algorithm": {"name": "sft", "batch": 4},
    "task": {"train_rows": 8},
    "run": {"threads": 1, "save_every": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 1},
}
RUNS = {"run": RUN, "rounded": ROUNDED, "supervised": SUPERVISED}


def given_updates(out: Path, kl_cap: float = 0.0) -> dict[str, Any]:
    """Plain gradient steps in float64 from a start with anchors, each rollout one update; weights and logs go to `out`.

    Returns what was trained: how many processes, and what DDP was told.
    """
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # rollout_func is TRL's way to bring completions along
    torch.set_num_threads(1)
    stored = json.loads(GOLDEN.read_text())
    recipe = make_recipe(GIVEN)
    groups = zip(*[iter(stored["completions"])] * recipe.rollout.completions, strict=True)
    by_prompt = {prompt: list(group) for (prompt, _), group in zip(stored["rows"], groups, strict=True)}
    assert len(by_prompt) == len(stored["rows"])
    tokenizer = load_tokenizer("nano")
    model = stiefel.attach(load_model("nano"), "pissa", r=8, alpha=16).double()

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        taken = {prompt: iter(completions) for prompt, completions in by_prompt.items()}
        return {
            "prompt_ids": tokenizer(prompts)["input_ids"],
            "completion_ids": [next(taken[prompt]) for prompt in prompts],
            "logprobs": None,
        }

    args = grpo_config(recipe, out)
    args.optim, args.max_grad_norm, args.save_strategy = "sgd", 1e9, "no"  # a wrong scale of the gradient would show
    trainer = stiefel.GRPOTrainer(
        model,
        GradedReward(find_task(recipe.task.name).grader),
        args,
        Dataset.from_list([{"prompt": prompt, "answer": answer} for prompt, answer in stored["rows"]]),
        processing_class=tokenizer,
        rollout_func=rollout,
        kl_cap=kl_cap,
    )
    trainer.train()
    trainer.save_model(str(out / "saved"))
    sent = xxhash.xxh3_128()
    for name, tensor in policy_weights(model):  # what an engine that serves no LoRA is sent
        sent.update(name.encode() + tensor.numpy().tobytes())
    wrapped, main = trainer.model_wrapped, PartialState().is_main_process
    if main:
        out.mkdir(parents=True, exist_ok=True)
        trained = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        save_file(trained, out / "trained.safetensors")
        logs = [row for row in trainer.state.log_history if "grad_norm" in row]
        (out / "logs.json").write_text(json.dumps(logs))
    ddp = isinstance(wrapped, DistributedDataParallel)
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    return {
        "share": sum(held(parameter).numel() for parameter in frozen) / sum(map(torch.numel, frozen)),
        "processes": PartialState().num_processes,
        "sent": sent.hexdigest(),
        "ddp": ddp,
        "settings": [wrapped.find_unused_parameters, wrapped.broadcast_buffers] if ddp else [],
    }


def cut_short(out: Path, copy: Path) -> Callable[[dict[str, Any]], None]:
    """Keep what a run would have left behind, had it been killed right after its last rollout was written."""

    def on_row(row: dict[str, Any]) -> None:
        if row["step"] == RUN["optim"]["rollouts"]:
            shutil.copytree(out, copy)

    return on_row


def divided_peak() -> dict[str, int]:
    """Bytes at the peak of real steps on a base that is divided, by the formula, and of a layer."""
    model, shapes = adapted("qwen3", "pissa", torch.float32, num_hidden_layers=12)
    shard_base(model)
    add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy"))
    step = replace(step_of("pissa", torch.float32), processes=PartialState().num_processes)
    peak = tensor_peak(model, training(model, torch.float32))
    return {"peak": peak, "needed": needed(shapes, step).total, "layer": shapes.layer * 4}


def sharded() -> bool:
    """True where weights that FSDP2 has divided are emitted and saved as the whole ones are, after a backward pass."""
    model = stiefel.attach(load_model("nano"), "pissa", r=8, alpha=16)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    emitted = {name: tensor.clone() for name, tensor in policy_weights(model)}
    saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mesh = init_device_mesh("cpu", (PartialState().num_processes,))
    for layer in model.get_base_model().model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    ids = torch.arange(20).view(2, 10)
    model(input_ids=ids, labels=ids).loss.backward()
    now = dict(policy_weights(model))
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
    return all(
        old.keys() == new.keys() and all(torch.equal(new[name], old[name]) for name in old)
        for old, new in ((emitted, now), (saved, state))
    )


def lost_in_one() -> list[bool]:
    """Which processes notice that the last one's model, and only that one's, gives no probabilities."""
    model, state = load_model("nano"), PartialState()
    if state.process_index == state.num_processes - 1:
        model.get_output_embeddings().weight.data.fill_(torch.nan)
    try:
        with finite_logits(model):
            model.generate(torch.arange(4, 14).view(2, 5), do_sample=True, max_new_tokens=2, pad_token_id=0)
    except NoProbabilities:
        return gather_object([True])
    return gather_object([False])


def refused_in_one() -> list[str]:
    """What each process raises where the last one alone refuses its work."""

    def work() -> int:
        if PartialState().process_index == PartialState().num_processes - 1:
            raise UserError("a server", "it is gone", "start it")
        return 1

    try:
        in_all_or_none(work)
    except UserError as error:
        return gather_object([f"{type(error).__name__}: {error.what}"])
    return gather_object([""])


def main(out: Path) -> None:
    """All of it, in every process of a launch with FSDP2: first by DDP, without what the launcher said of FSDP.

    Accelerate reads that anew for every trainer.
    """
    quiet()
    gc.freeze()  # what is imported: every training asks for a collection
    asked = {name: os.environ.pop(name) for name in [*os.environ] if re.match("FSDP_|ACCELERATE_USE_FSDP$", name)}
    assert not sharded_launch()
    work(out / "two")
    os.environ.update(asked)
    assert sharded_launch()
    work(out / "divided")


def work(out: Path) -> None:
    """What is done in either way."""
    facts = given_updates(out / "given")
    facts["capped"] = gather_object([given_updates(out / "capped", CAP)["sent"]])
    for name, settings in RUNS.items():
        train(
            make_recipe(settings), out / name, on_row=cut_short(out / name, out / "killed") if name == "run" else mute
        )
    if sharded_launch():
        train(make_recipe(RUN), out / "killed", resume=True)
        facts |= divided_peak()
    else:
        facts |= {"sharded": sharded(), "lost": lost_in_one(), "refused": refused_in_one()}
    if PartialState().is_main_process:
        (out / "facts.json").write_text(json.dumps(facts))


def mute(row: dict[str, Any]) -> None:
    """Nothing is made of it."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    end(0)
