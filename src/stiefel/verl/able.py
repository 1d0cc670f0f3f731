"""What of a recipe verl can do: every key stands in one of three tables, and what cannot be done is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..adapter import adapter_in, read_certificate
from ..engine import rank_served
from ..errors import UserError
from ..methods import Composition, compose
from ..recipe import Recipe, usual_recipe

TRAIN = "run it on TRL: stiefel train"

# section.key → what it becomes on verl
HONOURED: dict[str, str] = {
    "model.path": "`model.path`",
    "model.dtype": "`actor.fsdp_config.model_dtype`, `rollout.dtype`",
    "model.compute": "`actor.fsdp_config.mixed_precision`",
    "model.attention": "`model.override_config.attn_implementation`",
    "model.revision": "the directory that `model.path` names",
    "model.turn_ends": "`stop_token_ids` of every completion",
    "model.chat_template_options": "the prompts, which our data set renders",
    "adapter.method": "the adapter's directory, `model.external_lib`",
    "adapter.path": "`model.lora_adapter_path`",
    "adapter.rank": "`model.lora_rank`, doubled for an anchored method",
    "adapter.alpha": "`model.lora_alpha`, doubled likewise",
    "adapter.dropout": "the plug-in, by `verl.json`; also `lora_dropout` of the directory that a launch makes",
    "adapter.dropout_on": "`verl.json`, which the plug-in reads",
    "adapter.targets": "`model.target_modules`",
    "adapter.options": "the adapter's directory",
    "task.name": "`data.custom_cls`, `reward.custom_reward_function`",
    **dict.fromkeys(
        (
            *("task.data", "task.split", "task.revision", "task.prompt_column", "task.answer_column", "task.chat"),
            *("task.train_rows", "task.options", "task.mixture"),
        ),
        "`data.custom_cls`",
    ),
    **dict.fromkeys(("task.reward", "task.partial_credit"), "`reward.custom_reward_function`"),
    "task.heldout": "`data.val_files`, or `stiefel eval`",
    "algorithm.name": "`actor.loss_agg_mode`, `algorithm.norm_adv_by_std_in_grpo`",
    "algorithm.beta": "`actor.use_kl_loss`, `actor.kl_loss_coef`, `actor.kl_loss_type=low_var_kl`",
    "algorithm.clip_low": "`actor.clip_ratio_low`",
    "algorithm.clip_high": "`actor.clip_ratio_high`",
    "algorithm.dual_clip": "`actor.clip_ratio_c`",
    "algorithm.entropy": "`actor.entropy_coeff`",
    "algorithm.dynamic_sampling": "`algorithm.filter_groups.enable`, by `acc`",
    "algorithm.overlong_buffer": "`reward.reward_kwargs.overlong_buffer_cfg.{enable,len}`",
    "algorithm.overlong_penalty": "`reward.reward_kwargs.overlong_buffer_cfg.penalty_factor`",
    "rollout.engine": "`rollout.name=vllm`",
    "rollout.prompts": "`data.train_batch_size`",
    "rollout.completions": "`rollout.n`",
    "rollout.temperature": "`rollout.temperature`",
    "rollout.top_p": "`rollout.top_p`",
    "rollout.top_k": "`rollout.top_k`, 0 as −1",
    "rollout.max_prompt_tokens": "`data.max_prompt_length`",
    "rollout.truncate": "`data.custom_cls`, before verl sees a row",
    "rollout.max_completion_tokens": "`data.max_response_length`",
    "rollout.vllm_mode": "`trainer.v1.trainer_mode=sync`: vLLM shares the GPUs",
    "rollout.vllm_memory": "`rollout.gpu_memory_utilization`",
    "rollout.vllm_tensor_parallel": "`rollout.tensor_model_parallel_size`",
    "rollout.sync": "`model.lora.merge=False`",
    "rollout.importance_correction": "`algorithm.rollout_correction.rollout_is`",
    "rollout.importance_cap": "`algorithm.rollout_correction.rollout_is_threshold`",
    "optim.lr": "`actor.optim.lr`",
    "optim.schedule": "`actor.optim.lr_scheduler_type`, a step a rollout",
    "optim.rollouts": "`trainer.total_training_steps`",
    "optim.updates_per_rollout": "`actor.ppo_mini_batch_size`, in prompts",
    "optim.micro_batch": "`actor.ppo_micro_batch_size_per_gpu`, without `cluster.dynamic_batch`",
    "optim.activation_checkpointing": "`model.enable_gradient_checkpointing`",
    "optim.weight_decay": "`actor.optim.weight_decay`",
    "optim.weight_decay_on": "`verl.json`, which the plug-in reads",
    "optim.max_grad_norm": "`actor.optim.clip_grad`",
    "optim.warmup_rollouts": "`actor.optim.lr_warmup_steps`",
    "run.seed": "`data.seed`, `rollout.seed`, `actor.data_loader_seed`, `actor.fsdp_config.seed`",
    "run.save_every": "`trainer.save_freq`; 0 saves the last rollout",
    "run.kl_every": "the plug-in, which reads it in the recipe beside `verl.json`",
    "run.report_to": "`trainer.logger`",
    "eval.every": "`trainer.test_freq`, or `stiefel eval` before and after",
    **dict.fromkeys(("eval.tasks", "eval.limit"), "`data.val_files`, or `stiefel eval`"),
    "eval.sampling": '`rollout.val_kwargs` for "recipe", `stiefel eval` for "task"',
    "eval.samples": "`rollout.val_kwargs.n`",
    "eval.temperature": "`rollout.val_kwargs.temperature`",
    "eval.top_p": "`rollout.val_kwargs.top_p`",
    "cluster.nodes": "`trainer.nnodes`",
    "cluster.gpus": "`trainer.n_gpus_per_node`",
    "cluster.offload": "`actor.fsdp_config.{param_offload,optimizer_offload}`, `ref.fsdp_config.param_offload`",
    "cluster.remove_padding": "`model.use_remove_padding`",
    "cluster.dynamic_batch": "`actor.use_dynamic_bsz`, `actor.ppo_max_token_len_per_gpu`",
}

# section.key → what becomes of it, for the script to say; none of these changes what is trained
SAID: dict[str, str] = {
    "run.geometry_every": "`stiefel inspect` measures the trained adapter",
    "rollout.share_prompts": "verl's engines share a prompt's cache; its actor scores each completion with its prompt",
    "run.samples_every": "verl writes every rollout or none: trainer.rollout_data_dir=DIR, an argument of the script",
    "run.threads": "ray shares out the machines' processors",
    "expected.source": "published scores are for reports",
    "expected.percent": "published scores are for reports",
    "expected.metric": "published scores are for reports",
    "expected.average_of": "published scores are for reports",
    "expected.scores": "published scores are for reports",
}

# section.key → why verl cannot do it, and what can: anything but its default is refused
REFUSED: dict[str, tuple[str, str]] = {
    "rollout.vllm_server": ("verl starts the engines itself", "leave it out"),
    "algorithm.max_gen_batches": (
        "verl samples until a rollout is full of mixed groups, and ignores its own max_num_gen_batches",
        f"leave it out, or {TRAIN}",
    ),
    "algorithm.epochs": ("only supervised training reads it", TRAIN),
    "algorithm.batch": ("only supervised training reads it", TRAIN),
    "algorithm.reference": ("the plug-in's reference is the base", TRAIN),
    "optim.kl_cap": (
        "verl takes its steps whole, and nothing of ours stands between them",
        "--set optim.kl_cap=0 (and no optim.kl_cap_rows), with the rate that `stiefel preflight` names, or " + TRAIN,
    ),
    "optim.kl_cap_rows": ("verl takes its steps whole", TRAIN),
    "optim.kl_cap_total": ("verl takes its steps whole", TRAIN),
    "eval.validation": ("verl trains on all rows", TRAIN),
    "eval.defer": ("verl measures what it measures in its own run", TRAIN),
    "guard.action": ("verl has no guard that ends a run or goes back", f"set guard.action = 'off', or {TRAIN}"),
    "guard.kl_base": ("verl has no guard", TRAIN),
    "guard.grad_norm": ("verl has no guard", TRAIN),
}

# part of a method → why its policy or its update never comes to be on verl
UNABLE: dict[str, str] = {
    "dora": "its magnitudes are no factors A and B, and only these reach verl's rollouts",
    "lora_plus": "verl builds one AdamW with one rate",
    "lora_fa": "verl's optimizer knows nothing of B's projected gradient",
    "adalora": "nothing on verl cuts its triplets after an update, and they never reach the rollouts",
    "miss": "it is no LoRA: its weights never reach verl's rollouts",
    "vera": "it is no LoRA: its weights never reach verl's rollouts",
    "ia3": "it is no LoRA: its weights never reach verl's rollouts",
    "ln_tuning": "normalisation layers are no LoRA: their weights never reach verl's rollouts",
    "sparse": "verl trains all of a weight or none of it, and its decay would move what the mask holds",
}


def require_able(recipe: Recipe, composition: Composition) -> None:
    """Raise for the first setting that verl cannot honour, with the reason and what can; reads no file."""
    if recipe.algorithm.name == "sft":
        raise UserError("algorithm.name = 'sft' for verl", "the recipe is handed to verl's trainer of RL", TRAIN)
    for part in composition.parts:
        if part.name in UNABLE:
            raise UserError(f"{composition.name} cannot be trained on verl", UNABLE[part.name], TRAIN)
    usual = usual_recipe(recipe.algorithm.name)
    for key, (why, instead) in REFUSED.items():
        section, _, name = key.partition(".")
        value = vars(vars(recipe)[section])[name]
        if value != usual[section][name]:
            raise refused(key, value, why, instead)
    require_settings(recipe, composition)
    if composition.is_peft:
        rank_served(composition.width * recipe.adapter.rank)


def require_settings(recipe: Recipe, composition: Composition) -> None:
    """Raise for values that verl cannot do, of keys that it can."""
    rollout, cluster, model = recipe.rollout, recipe.cluster, recipe.model
    if rollout.engine == "hf":
        raise refused("rollout.engine", "hf", "verl generates by vLLM", "--set rollout.engine=vllm")
    if rollout.vllm_mode == "server":
        raise refused(
            "rollout.vllm_mode", "server", "verl starts the engines itself", "--set rollout.vllm_mode=colocate"
        )
    if rollout.sync == "merged":
        raise refused(
            "rollout.sync",
            "merged",
            "weights that are merged in bfloat16 lose a small update, and verl can send the adapter alone",
            f"leave it out, or {TRAIN}",
        )
    if rollout.importance_correction.endswith("_mask"):
        raise refused(
            "rollout.importance_correction",
            rollout.importance_correction,
            "verl rejects by other statistics than TRL's masks",
            f"token_truncate or sequence_truncate, or {TRAIN}",
        )
    if not rollout.max_prompt_tokens:
        raise refused(
            "rollout.max_prompt_tokens",
            0,
            "verl makes room for prompts before it has read one, and cuts longer ones without a word",
            "set it to a number of tokens that the longest prompt fits",
        )
    if model.dtype == "float16":
        raise refused("model.dtype", "float16", "verl does not scale the loss", "--set model.dtype=bfloat16")
    if cluster.remove_padding and model.attention in ("sdpa", "eager"):
        raise refused(
            "cluster.remove_padding",
            True,
            f"sequences are packed for flash attention, and model.attention is {model.attention}",
            "--set cluster.remove_padding=false, or leave model.attention out",
        )
    if not composition.is_peft and recipe.optim.weight_decay and recipe.optim.weight_decay_on == "delta":
        raise refused(
            "optim.weight_decay_on",
            "delta",
            "verl's AdamW draws full weights towards 0 and not towards the base",
            '--set optim.weight_decay=0, or weight_decay_on="factors", which is verl\'s way',
        )


def refused(key: str, value: Any, why: str, instead: str) -> UserError:
    """The error of a setting that verl cannot honour."""
    return UserError(f"{key} = {value!r} for verl", why, instead)


def composition_of(recipe: Recipe) -> Composition:
    """The method of a recipe, or of the adapter's directory that it names."""
    if not recipe.adapter.path:
        return compose(recipe.adapter.method)
    return read_certificate(adapter_in(Path(recipe.adapter.path))).composition
