"""A recipe → every setting that verl is given, in groups, in Hydra's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..recipe import Recipe
from .carried import Carried
from .measured import by_verl
from .shares import Shares

Value = bool | int | float | str | Sequence[str | float] | None
Settings = Mapping[str, Value]
# name → (loss_agg_mode, norm_adv_by_std_in_grpo), as training's LOSSES has them for TRL
LOSSES = {
    "dapo": ("token-mean", True),
    "grpo": ("seq-mean-token-mean", True),
    "dr_grpo": ("seq-mean-token-sum-norm", False),
}
NO_BOUND = 1e9  # on the ratio, which verl clamps at exp(20) = 4.85e8 itself
IMPORTANCE = {"off": None, "token_truncate": "token", "sequence_truncate": "sequence"}
DTYPES = {"float32": "fp32", "bfloat16": "bf16"}
PLUGIN, DATASET, REWARD = "stiefel.verl.plugin", "pkg://stiefel.verl.dataset", "pkg://stiefel.verl.reward"
ACTOR, ROLLOUT, MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"
REF = "actor_rollout_ref.ref"
OVERLONG = "+reward.reward_kwargs.overlong_buffer_cfg"


class Group(NamedTuple):
    """Settings that belong together."""

    title: str
    settings: Settings


class Place(NamedTuple):
    """Where things lie, as the script's variables or as plain paths."""

    run: str = "$RUN"  # checkpoints, metrics
    model: str = "$MODEL"
    adapter: str = "$ADAPTER"


def groups(recipe: Recipe, adapter: Carried, parts: Shares, place: Place = Place()) -> list[Group]:  # noqa: B008
    """Every override of a recipe that verl can do; nothing that matters is left to verl's defaults."""
    return [
        Group("the model", of_model(recipe, adapter, place)),
        Group("the adapter: rank and alpha are its directory's", of_adapter(adapter, place)),
        Group("the rows and the rewards: ours", of_data(recipe)),
        Group("rollouts", of_rollouts(recipe)),
        Group("the loss", of_loss(recipe)),
        Group("the optimizer: its schedule takes a step a rollout", of_optimizer(recipe)),
        Group("mini-batches, in prompts, and what a GPU works on at once", of_batches(recipe, parts)),
        Group("dynamic sampling and overlong answers", of_sampling(recipe)),
        Group("the machines", of_cluster(recipe)),
        Group("length, checkpoints, measurements, logs", of_run(recipe, place)),
        Group("what every process of ours reads", of_processes(place)),
    ]


def of_model(recipe: Recipe, adapter: Carried, place: Place) -> Settings:
    """The base, its numbers and its attention; what trains is float32, of `full` every weight."""
    model = recipe.model
    rounded = "bfloat16" in (model.dtype, model.compute)
    kept = DTYPES[model.dtype] if adapter.rank else "fp32"
    precision = {"param_dtype": "bf16" if rounded else "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    attention = model.attention or ("flash_attention_2" if recipe.cluster.remove_padding else "sdpa")
    return {
        f"{MODEL}.path": place.model,
        f"+{MODEL}.override_config.attn_implementation": attention,
        f"{MODEL}.use_remove_padding": recipe.cluster.remove_padding,
        f"{MODEL}.enable_gradient_checkpointing": recipe.optim.activation_checkpointing,
        f"{MODEL}.trust_remote_code": False,
        f"{ACTOR}.fsdp_config.model_dtype": kept,
        **{f"+{ACTOR}.fsdp_config.mixed_precision.{key}": value for key, value in precision.items()},
        f"{REF}.fsdp_config.model_dtype": kept,  # like the actor's, to be its start bit for bit
        **{f"+{REF}.fsdp_config.mixed_precision.{key}": value for key, value in precision.items()},
        f"{ROLLOUT}.dtype": model.dtype,
        f"{ROLLOUT}.load_format": "safetensors" if adapter.rank else "dummy",
    }


def of_adapter(adapter: Carried, place: Place) -> Settings:
    """The directory, the plug-in that makes the base the reference, and factors sent as they are.

    The plug-in without an adapter is verl's own engine, which it builds where TRL is newer than verl knows.
    """
    if not adapter.rank:
        return {f"{MODEL}.lora_rank": 0, f"{MODEL}.lora_adapter_path": None, f"{MODEL}.external_lib": PLUGIN}
    return {
        f"{MODEL}.lora_adapter_path": place.adapter,
        f"{MODEL}.lora_rank": adapter.rank,
        f"{MODEL}.lora_alpha": adapter.alpha,
        f"{MODEL}.target_modules": adapter.targets,
        f"{MODEL}.lora.merge": False,
        f"{MODEL}.external_lib": PLUGIN,
    }


def of_data(recipe: Recipe) -> Settings:
    """Our rows in their order, drawn once: no shuffling, no filter and no cutting by verl."""
    return {
        "data.custom_cls.path": DATASET,
        "data.custom_cls.name": "Rows",
        "data.train_files": "train",
        "data.val_files": "eval",
        "data.prompt_key": "prompt",
        "data.train_batch_size": recipe.rollout.prompts,
        "data.max_prompt_length": recipe.rollout.max_prompt_tokens,
        "data.max_response_length": recipe.rollout.max_completion_tokens,
        "data.filter_overlong_prompts": False,
        "data.truncation": "error",
        "data.shuffle": False,
        "data.validation_shuffle": False,
        "data.seed": recipe.run.seed,
        "data.dataloader_num_workers": 0,
        "reward.custom_reward_function.path": REWARD,
        "reward.custom_reward_function.name": "compute_score",
        "reward.reward_manager.source": "register",
        "reward.reward_manager.name": "dapo",
        "reward.reward_model.enable": False,
        "reward.num_workers": recipe.cluster.nodes,  # each grades by a pool as wide as its machine
    }


def of_rollouts(recipe: Recipe) -> Settings:
    """What vLLM draws in training, and where verl measures."""
    rollout, measured = recipe.rollout, recipe.eval
    greedy = measured.temperature == 0
    return {
        f"{ROLLOUT}.name": "vllm",
        f"{ROLLOUT}.mode": "async",
        f"{ROLLOUT}.agent.default_agent_loop": "stiefel",
        f"{ROLLOUT}.n": rollout.completions,
        f"{ROLLOUT}.temperature": rollout.temperature,
        f"{ROLLOUT}.top_p": rollout.top_p,
        f"{ROLLOUT}.top_k": rollout.top_k or -1,
        f"{ROLLOUT}.seed": recipe.run.seed,
        f"{ROLLOUT}.max_model_len": rollout.max_prompt_tokens + rollout.max_completion_tokens,
        f"{ROLLOUT}.gpu_memory_utilization": rollout.vllm_memory,
        f"{ROLLOUT}.tensor_model_parallel_size": rollout.vllm_tensor_parallel,
        f"{ROLLOUT}.enable_chunked_prefill": True,
        f"+{ROLLOUT}.engine_kwargs.vllm.generation_config": "vllm",  # the model's advice for chats is left aside
        f"{ROLLOUT}.calculate_log_probs": True,
        f"{ROLLOUT}.val_kwargs.do_sample": not greedy,
        f"{ROLLOUT}.val_kwargs.n": measured.samples,
        f"{ROLLOUT}.val_kwargs.temperature": measured.temperature,
        f"{ROLLOUT}.val_kwargs.top_p": measured.top_p,
        f"{ROLLOUT}.val_kwargs.top_k": -1,
        "algorithm.rollout_correction.rollout_is": IMPORTANCE[rollout.importance_correction],
        "algorithm.rollout_correction.rollout_is_threshold": rollout.importance_cap,
        "algorithm.rollout_correction.rollout_rs": None,
        "algorithm.rollout_correction.bypass_mode": False,
    }


def of_loss(recipe: Recipe) -> Settings:
    """Advantages within groups, clips, averages, divergence."""
    algorithm = recipe.algorithm
    averaged, divided = LOSSES[algorithm.name]
    return {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": divided,
        "algorithm.use_kl_in_reward": False,
        f"{ACTOR}.policy_loss.loss_mode": "vanilla",
        f"{ACTOR}.loss_agg_mode": averaged,
        f"{ACTOR}.loss_scale_factor": recipe.rollout.max_completion_tokens if algorithm.name == "dr_grpo" else None,
        f"{ACTOR}.clip_ratio_low": algorithm.clip_low,
        f"{ACTOR}.clip_ratio_high": algorithm.clip_high,
        f"{ACTOR}.clip_ratio_c": algorithm.dual_clip or NO_BOUND,
        f"{ACTOR}.entropy_coeff": algorithm.entropy,
        f"{ACTOR}.use_kl_loss": algorithm.beta > 0,
        f"{ACTOR}.kl_loss_coef": algorithm.beta,
        f"{ACTOR}.kl_loss_type": "low_var_kl",
    }


def of_optimizer(recipe: Recipe) -> Settings:
    """AdamW; the bound on the gradient's norm is the optimizer's, as FSDP reads no other."""
    optim = recipe.optim
    return {
        f"{ACTOR}.optim.optimizer": "AdamW",
        f"{ACTOR}.optim.lr": optim.lr,
        f"{ACTOR}.optim.lr_scheduler_type": optim.schedule,
        f"{ACTOR}.optim.lr_warmup_steps": optim.warmup_rollouts,
        f"{ACTOR}.optim.lr_warmup_steps_ratio": 0.0,
        f"{ACTOR}.optim.min_lr_ratio": 0.0,
        f"{ACTOR}.optim.num_cycles": 0.5,
        f"{ACTOR}.optim.betas": [0.9, 0.999],
        f"{ACTOR}.optim.weight_decay": optim.weight_decay,
        f"{ACTOR}.optim.clip_grad": optim.max_grad_norm,
    }


def of_batches(recipe: Recipe, parts: Shares) -> Settings:
    """One pass over a rollout in mini-batches, which verl counts in prompts."""
    by_tokens, tokens = parts.micro_batch == 0, recipe.cluster.dynamic_batch
    longest = recipe.rollout.max_prompt_tokens + recipe.rollout.max_completion_tokens
    return {
        f"{ACTOR}.ppo_mini_batch_size": parts.mini_batch,
        f"{ACTOR}.ppo_epochs": 1,
        f"{ACTOR}.shuffle": False,
        f"{ACTOR}.data_loader_seed": recipe.run.seed,
        f"{ACTOR}.use_dynamic_bsz": by_tokens,
        f"{ACTOR}.ppo_max_token_len_per_gpu": tokens or longest,
        f"{ACTOR}.ppo_micro_batch_size_per_gpu": parts.micro_batch or None,
        f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": parts.micro_batch or None,
        f"{REF}.log_prob_micro_batch_size_per_gpu": parts.micro_batch or None,
    }


def of_sampling(recipe: Recipe) -> Settings:
    """Groups without a difference in correctness, and the penalty on long answers."""
    algorithm = recipe.algorithm
    overlong: dict[str, Value] = {}
    if algorithm.overlong_buffer:
        overlong = {
            "+reward.reward_kwargs.max_resp_len": recipe.rollout.max_completion_tokens,
            f"{OVERLONG}.enable": True,
            f"{OVERLONG}.len": algorithm.overlong_buffer,
            f"{OVERLONG}.penalty_factor": algorithm.overlong_penalty,
            f"{OVERLONG}.log": True,
        }
    return {
        "algorithm.filter_groups.enable": algorithm.dynamic_sampling,
        "algorithm.filter_groups.metric": "acc",
        "algorithm.filter_groups.max_inflight_gen_batches": 1,
        **overlong,
    }


def of_cluster(recipe: Recipe) -> Settings:
    """FSDP2 over all GPUs, which the engines share."""
    cluster = recipe.cluster
    return {
        "trainer.nnodes": cluster.nodes,
        "trainer.n_gpus_per_node": cluster.gpus,
        f"{ACTOR}.strategy": "fsdp2",
        f"{ACTOR}.fsdp_config.param_offload": cluster.offload,
        f"{ACTOR}.fsdp_config.optimizer_offload": cluster.offload,
        f"{ACTOR}.fsdp_config.seed": recipe.run.seed,
        f"{REF}.fsdp_config.param_offload": cluster.offload,
        "trainer.use_v1": True,
        "trainer.v1.trainer_mode": "sync",
    }


def of_run(recipe: Recipe, place: Place) -> Settings:
    """How long, what is kept, when it is measured, and where that is told."""
    rollouts, measured = recipe.optim.rollouts, by_verl(recipe)
    return {
        "trainer.total_training_steps": rollouts,
        "trainer.total_epochs": 1,
        "trainer.save_freq": recipe.run.save_every or rollouts,
        "trainer.max_actor_ckpt_to_keep": 2,
        "trainer.resume_mode": "auto",
        "trainer.default_local_dir": f"{place.run}/checkpoints",
        "trainer.test_freq": (recipe.eval.every or rollouts) if measured else -1,
        "trainer.val_before_train": measured,
        "trainer.logger": ["console", "file", *recipe.run.report_to],
        "trainer.project_name": "stiefel",
        "trainer.experiment_name": recipe.adapter.method if not recipe.adapter.path else "adapter",
    }


def of_processes(place: Place) -> Settings:
    """Variables that ray hands to its workers, on every machine."""
    variables = "+ray_kwargs.ray_init.runtime_env.env_vars"
    return {
        f"{variables}.STIEFEL_VERL": f"{place.run}/verl.json",
        f"{variables}.VERL_FILE_LOGGER_PATH": "$VERL_FILE_LOGGER_PATH",
    }


def flat(found: list[Group]) -> dict[str, Any]:
    """Every setting of every group, by its name."""
    return {key: value for group in found for key, value in group.settings.items()}
