"""verl's real engine around nano, and rollouts to give it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.workers.config import ActorConfig, FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import left_right_2_no_padding

from stiefel.artifacts import read_json
from stiefel.model import model_files

PROMPT, RESPONSE, ROWS = 6, 5, 8


def nano() -> str:
    return str(model_files("nano"))


def model_config(adapter: Path | None, model: str = "", **settings: Any) -> HFModelConfig:
    lora: dict[str, Any] = {}
    if adapter is not None:
        config = read_json(adapter / "adapter_config.json")
        lora = {"lora_rank": config["r"], "lora_alpha": config["lora_alpha"], "lora_adapter_path": str(adapter)}
    return HFModelConfig(
        **{
            "path": model or nano(),
            "external_lib": "stiefel.verl.plugin",
            "use_remove_padding": False,
            "enable_gradient_checkpointing": False,
            "override_config": {"attn_implementation": "sdpa"},
            "lora": {"merge": False},
            **lora,
            **settings,
        }
    )


def engine_config(**settings: Any) -> FSDPEngineConfig:
    exact = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
    return FSDPEngineConfig(
        **{
            "strategy": "fsdp2",
            "mixed_precision": exact,
            "use_torch_compile": False,
            "use_dynamic_bsz": False,
            "use_remove_padding": False,
            "micro_batch_size_per_gpu": 4,
            "infer_micro_batch_size_per_gpu": 4,
            **settings,
        }
    )


def make_engine(adapter: Path | None, model: str = "", *, lr: float = 1e-3, **settings: Any) -> Any:
    """As verl's worker makes it: by its registry, then initialized. `settings` are of verl's optimizer or engine."""
    from verl.workers.engine import EngineRegistry

    optim = {key: settings.pop(key) for key in list(settings) if key in FSDPOptimizerConfig.__dataclass_fields__}
    loras = {key: settings.pop(key) for key in list(settings) if key in HFModelConfig.__dataclass_fields__}
    optimizer = FSDPOptimizerConfig(**{"lr": lr, "weight_decay": 0.0, "total_training_steps": 4, **optim})
    contents = ["model", "optimizer", "extra"]
    config = model_config(adapter, model, **loras)  # which imports the plug-in, before the registry is asked
    engine = EngineRegistry.new(
        model_type="language_model",
        backend=settings.get("strategy", "fsdp2"),
        model_config=config,
        engine_config=engine_config(**settings),
        optimizer_config=optimizer,
        checkpoint_config=CheckpointConfig(save_contents=contents, load_contents=contents),
    )
    engine.initialize()
    return engine


def verls_own(adapter: Path | None, model: str = "", *, optim: Any = None, **settings: Any) -> Any:
    """verl's engine without the plug-in; `optim` is its optimizer's configuration, `settings` are of its model."""
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

    from stiefel.verl.without_trl import without_trl

    engine = FSDPEngineWithLMHead(
        model_config(adapter, model, external_lib=None, **settings),
        engine_config(),
        optim or FSDPOptimizerConfig(lr=1e-3, weight_decay=0.0, total_training_steps=4),
        CheckpointConfig(),
    )
    with without_trl():
        engine.initialize()
    return engine


def rollout(seed: int = 0, rows: slice = slice(None)) -> TensorDict:
    """Prompts padded on the left, responses on the right, as verl's trainer hands them to an engine; or some rows."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 29, (ROWS, PROMPT + RESPONSE), generator=draw)
    prompts = torch.randint(2, PROMPT + 1, (ROWS, 1), generator=draw)
    responses = torch.randint(1, RESPONSE + 1, (ROWS, 1), generator=draw)
    places = torch.arange(PROMPT + RESPONSE)
    attention = ((places >= PROMPT - prompts) & (places < PROMPT + responses)).long()
    ids = ids * attention
    return padded(
        ids[rows],
        attention[rows],
        PROMPT,
        old_log_probs=(torch.randn(ROWS, RESPONSE, generator=draw) * 0.1 - 3.0)[rows],
        advantages=torch.randn(ROWS, 1, generator=draw).expand(ROWS, RESPONSE)[rows],
    )


def padded(ids: torch.Tensor, attention: torch.Tensor, prompt: int, **columns: torch.Tensor) -> TensorDict:
    """A batch as the engine takes it, of one padded on both sides; `columns` are of the responses' tokens."""
    data = TensorDict(
        {
            "input_ids": ids.clone(),
            "attention_mask": attention.clone(),
            "position_ids": (attention.cumsum(1) - 1).clamp(min=0),
            "prompts": ids[:, :prompt].clone(),
            "responses": ids[:, prompt:].clone(),
            "response_mask": attention[:, prompt:].float(),
            **{name: column.contiguous() for name, column in columns.items()},
        },
        batch_size=[len(ids)],
    )
    data = left_right_2_no_padding(data)
    tu.assign_non_tensor(
        data,
        temperature=1.0,
        global_batch_size=ROWS,
        use_remove_padding=False,
        use_dynamic_bsz=False,
        micro_batch_size_per_gpu=4,
    )
    return data


def log_probs(engine: Any, data: TensorDict, *, base: bool = False) -> torch.Tensor:
    """Of every token of the rollout, under the policy or its reference."""
    from contextlib import nullcontext

    with engine.eval_mode(), engine.disable_adapter() if base else nullcontext():
        return engine.infer_batch(data.clone())["model_output"]["log_probs"].values()


def dapo(beta: float = 0.0) -> Any:
    """verl's own policy loss with DAPO's clipping and token mean, and beta times the divergence k3."""
    actor = ActorConfig(
        strategy="fsdp2",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=4,
        ppo_mini_batch_size=ROWS,
        clip_ratio_low=0.2,
        clip_ratio_high=0.28,
        clip_ratio_c=10.0,
        loss_agg_mode="token-mean",
        use_kl_loss=beta > 0,
        kl_loss_coef=beta,
        kl_loss_type="low_var_kl",
    )
    return partial(ppo_loss, config=actor)


def update(engine: Any, data: TensorDict) -> dict[str, Any]:
    """One update of verl's loss by verl's engine, as its worker's mini-batch; the schedule's step too."""
    with engine.train_mode():
        metrics = engine.train_batch(data.clone(), dapo())["metrics"]
        engine.lr_scheduler_step()
    return metrics
