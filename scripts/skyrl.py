"""A recipe for SkyRL 0.4, another trainer: `python -m scripts.skyrl RECIPE.toml --gpus 8` prints its command.

`--check` holds the same settings to SkyRL's own loader and checks, where it can be imported; no GPU is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import typing
from pathlib import Path

from stiefel.errors import UserError
from stiefel.recipe import Recipe, load_recipe

VERSION = "0.4.0"  # whose source was read
Value = str | int | float | bool | None
REDUCTIONS = {"dapo": "token_mean", "grpo": "sequence_mean", "dr_grpo": "seq_mean_token_sum_norm"}
CORRECTIONS = {"off": None, "token_truncate": "token", "sequence_truncate": "sequence"}


def overrides(recipe: Recipe, gpus: int, environment: str, data: str) -> dict[str, Value]:
    """SkyRL's settings for a recipe; raises UserError for what it has no key for."""
    refuse(recipe)
    algorithm, rollout, optim = recipe.algorithm, recipe.rollout, recipe.optim
    settings: dict[str, Value] = {
        "data.train_data": f"['{data}']",
        "environment.env_class": environment,
        "trainer.strategy": "fsdp",
        "trainer.seed": recipe.run.seed,
        "trainer.placement.colocate_all": True,
        "trainer.placement.policy_num_gpus_per_node": gpus,
        "trainer.placement.ref_num_gpus_per_node": gpus,
        **dict.fromkeys(("trainer.policy.model.path", "trainer.ref.model.path"), recipe.model.path),
        "trainer.policy.model.lora.rank": recipe.adapter.rank,
        "trainer.policy.model.lora.alpha": recipe.adapter.alpha,
        "trainer.policy.model.lora.dropout": recipe.adapter.dropout,
        "trainer.policy.model.lora.target_modules": str(recipe.adapter.targets),
        "trainer.policy.model.lora.init_method": "kaiming",
        "trainer.policy.optimizer_config.lr": optim.lr,
        "trainer.policy.optimizer_config.weight_decay": optim.weight_decay,
        "trainer.policy.optimizer_config.max_grad_norm": optim.max_grad_norm,
        "trainer.policy.optimizer_config.num_warmup_steps": optim.warmup_rollouts * optim.updates_per_rollout,
        "trainer.policy.optimizer_config.scheduler": "constant_with_warmup",
        "trainer.gradient_checkpointing": optim.activation_checkpointing,
        "trainer.train_batch_size": rollout.prompts,
        "trainer.policy_mini_batch_size": rollout.prompts // optim.updates_per_rollout,
        "trainer.micro_train_batch_size_per_gpu": optim.micro_batch or 1,
        "trainer.micro_forward_batch_size_per_gpu": optim.micro_batch or 1,
        "trainer.max_training_steps": optim.rollouts,
        "trainer.epochs": optim.rollouts,  # a bound: a pass over the rows has one rollout at least
        "trainer.ckpt_interval": recipe.run.save_every or -1,
        "trainer.eval_interval": -1,
        "trainer.eval_before_train": False,
        "trainer.logger": "console",
        "trainer.algorithm.advantage_estimator": "grpo",
        "trainer.algorithm.grpo_norm_by_std": algorithm.name != "dr_grpo",
        "trainer.algorithm.loss_reduction": REDUCTIONS[algorithm.name],
        "trainer.algorithm.policy_loss_type": "dual_clip" if algorithm.dual_clip else "regular",
        "trainer.algorithm.eps_clip_low": algorithm.clip_low,
        "trainer.algorithm.eps_clip_high": algorithm.clip_high,
        "trainer.algorithm.use_kl_loss": algorithm.beta > 0,
        "trainer.algorithm.kl_loss_coef": algorithm.beta,
        "trainer.algorithm.kl_estimator_type": "k3",
        "trainer.algorithm.use_entropy_loss": algorithm.entropy > 0,
        "trainer.algorithm.entropy_loss_coef": algorithm.entropy,
        "trainer.algorithm.dynamic_sampling.type": "filter" if algorithm.dynamic_sampling else None,
        "trainer.algorithm.dynamic_sampling.max_sample_batches": algorithm.max_gen_batches,
        "trainer.algorithm.off_policy_correction.tis_ratio_type": CORRECTIONS[rollout.importance_correction],
        "generator.n_samples_per_prompt": rollout.completions,
        "generator.sampling_params.temperature": rollout.temperature,
        "generator.sampling_params.top_p": rollout.top_p,
        "generator.sampling_params.top_k": rollout.top_k or -1,
        "generator.sampling_params.max_generate_length": rollout.max_completion_tokens,
        "generator.inference_engine.num_engines": gpus // rollout.vllm_tensor_parallel,
        "generator.inference_engine.tensor_parallel_size": rollout.vllm_tensor_parallel,
        "generator.inference_engine.gpu_memory_utilization": rollout.vllm_memory,
    }
    if rollout.max_prompt_tokens:
        settings["trainer.max_prompt_length"] = rollout.max_prompt_tokens
    if algorithm.dual_clip:
        settings["trainer.algorithm.clip_ratio_c"] = algorithm.dual_clip
    if algorithm.name == "dr_grpo":
        settings["trainer.algorithm.max_seq_len"] = rollout.max_completion_tokens
    for kind in ("token", "sequence"):
        if CORRECTIONS[rollout.importance_correction] == kind:
            key = f"trainer.algorithm.off_policy_correction.{kind}_tis_ratio_clip_high"
            settings[key] = rollout.importance_cap
    return settings


def refuse(recipe: Recipe) -> None:
    """Raise UserError for the first setting that SkyRL would not honour."""
    rollout, instead = recipe.rollout, "stiefel train"
    divides = rollout.prompts % recipe.optim.updates_per_rollout == 0
    for wrong, what, why in (
        (bool(recipe.adapter.path), "adapter.path", "SkyRL makes a new LoRA and reads none"),
        (recipe.adapter.method != "lora", f"adapter.method = {recipe.adapter.method!r}", "its starts are PEFT's own"),
        (recipe.algorithm.name == "sft", "algorithm.name = 'sft'", "this command is of rollouts"),
        (recipe.algorithm.overlong_buffer > 0, "algorithm.overlong_buffer", "a reward of SkyRL-Gym's has no such part"),
        (recipe.optim.schedule != "constant", f"optim.schedule = {recipe.optim.schedule!r}", "it counts other steps"),
        (rollout.importance_correction not in CORRECTIONS, "rollout.importance_correction", "it masks by other bounds"),
        (rollout.vllm_mode == "server", "rollout.vllm_mode = 'server'", "SkyRL starts its engines itself"),
        (recipe.model.dtype != "bfloat16", f"model.dtype = {recipe.model.dtype!r}", "it computes in bfloat16"),
        (not divides, "optim.updates_per_rollout", "SkyRL's mini-batches are whole prompts, and must divide them"),
    ):
        if wrong:
            raise UserError(f"{what} on SkyRL", why, instead)


def words(settings: dict[str, Value]) -> list[str]:
    """Hydra's `key=value`."""
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]


def check(arguments: list[str]) -> str:
    """Let SkyRL's own loader and checks read them; they raise what they would at the start of a run."""
    from typing_extensions import TypedDict

    typing.TypedDict = TypedDict  # type: ignore[assignment]  # pydantic's demand below SkyRL's own Python 3.12
    import skyrl
    from skyrl.train.config import SkyRLTrainConfig
    from skyrl.train.utils.utils import validate_cfg

    settings = SkyRLTrainConfig.from_cli_overrides(arguments)
    validate_cfg(settings)
    return f"SkyRL {skyrl.__version__} takes all {len(arguments)} settings"


def main() -> None:
    """Print the command, or what SkyRL says of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--profile", default="")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--env-class", default="gsm8k")
    parser.add_argument("--data", default="train.parquet")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    try:
        recipe = load_recipe(asked.recipe, asked.settings, asked.profile)
        arguments = words(overrides(recipe, asked.gpus, asked.env_class, asked.data))
    except UserError as error:
        sys.exit(str(error))
    if asked.check:
        print(check(arguments))
        return
    print(" \\\n  ".join(["python -m skyrl.train.entrypoints.main_base", *(f'"{word}"' for word in arguments)]))


if __name__ == "__main__":
    main()
