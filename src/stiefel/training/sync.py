"""A trainer whose completions vLLM writes: the engine is ours, and the base in the trainer is never touched."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peft import PeftModel
from trl import GRPOConfig
from trl.trainer.utils import get_config_model_id

from ..engine import (
    PROMPTS,
    Sent,
    Sync,
    Trusted,
    require_factors,
    require_same_class,
    require_vllm,
    serves_factors,
    together,
)
from ..errors import UserError
from ..model import resolve_model
from .bridge import PolicyBridge
from .ending import stop_at_turn_ends
from .processes import for_processes
from .resuming import ResumableTrainer

ASKED, OTHERWISE = "use_vllm (rollout.engine = 'vllm')", "rollout.engine = 'hf'"


class SyncedTrainer(ResumableTrainer):
    """Runs alike in one process and in several, and lets vLLM play the policy that was trained.

    `sync` is "factors", the adapter as a LoRA beside the engine's base, or "merged", every weight; by itself factors
    wherever the adapter is made of them. `on_sync` is told the rollout and what was sent for it. `trusted` is a server
    that has been asked already whether it plays the base.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: GRPOConfig | None = None,
        *more: Any,
        sync: Sync | None = None,
        on_sync: Callable[[int, Sent], None] = lambda rollout, sent: None,
        trusted: Trusted | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(model, str):
            raise UserError(
                f"GRPOTrainer was given a name, {model!r}",
                "TRL would load the model itself, without an adapter that Stiefel made",
                "load it first, and attach: model = stiefel.attach(model, method, ...)",
            )
        if args is None:
            args = GRPOConfig(f"{get_config_model_id(model.config).split('/')[-1]}-GRPO")  # as TRL names it
        self._on_sync, self._trusted = on_sync, trusted
        self._last_sent: Sent | None = None
        self._unsaid: Sent | None = None
        shown = copy.copy(for_processes(args))
        if args.use_vllm:
            require_vllm(ASKED, OTHERWISE)
            bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
            if bare.name_or_path:  # one that was made here has no files yet, and the server's are asked below
                require_same_class(bare, resolve_model(bare.name_or_path), OTHERWISE)
            sync = chosen_sync(model, sync)
            shown.use_vllm = False  # TRL would start an engine of its own, without room for an adapter
        super().__init__(model, reward_funcs, shown, *more, **kwargs)
        if args.use_vllm:
            assert sync is not None
            self._start_engine(sync)

    def _start_engine(self, sync: Sync) -> None:
        """What TRL's constructor does for `use_vllm`, with our bridge in place of its own."""
        args = self.args
        args.use_vllm = self.use_vllm = True
        self._last_loaded_step = -1
        self.vllm_generation = PolicyBridge(
            self._bare_model,
            self.accelerator,
            self.processing_class,
            sync=sync,
            seed=args.seed,
            step=lambda: f"{self.state.global_step}{'' if self.model.training else ' measured'}",
            place=Path(args.output_dir),
            on_sync=self._synced,
            trusted=self._trusted,
            prompts=self._first_prompts,
            mode=args.vllm_mode,
            structured_outputs_regex=args.vllm_structured_outputs_regex,
            server_base_url=args.vllm_server_base_url,
            server_host=args.vllm_server_host,
            server_port=args.vllm_server_port,
            group_port=args.vllm_group_port,
            server_timeout=args.vllm_server_timeout,
            tensor_parallel_size=args.vllm_tensor_parallel_size,
            gpu_memory_utilization=args.vllm_gpu_memory_utilization,
            max_model_length=args.vllm_max_model_length,
            max_num_seqs=args.per_device_train_batch_size * args.vllm_tensor_parallel_size * args.steps_per_generation,
            enable_sleep_mode=args.vllm_enable_sleep_mode,
            model_impl=args.vllm_model_impl,
            trust_remote_code=args.trust_remote_code,
            repetition_penalty=self.repetition_penalty,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            max_completion_length=self.max_completion_length,
            logprobs=0,  # of the sampled token alone
            generation_kwargs=args.generation_kwargs,
        )
        stop_at_turn_ends(self)

    def _first_prompts(self) -> list[list[int]]:
        """The tokens of some prompts, by which a server's base is known; none where each brings tools of its own."""
        if self.train_dataset is None or self.environment_factories is not None:
            return []
        rows = [row["prompt"] for row in itertools.islice(self.train_dataset, PROMPTS)]
        tokens: list[list[int]] = self._tokenize_prompts(rows)[0]
        return tokens

    def let_it_play(self) -> PolicyBridge:
        """The bridge, its engine playing the policy as it is now; every process takes part."""
        if self.state.global_step != self._last_loaded_step:
            self.vllm_generation.sync_weights()
            self._last_loaded_step = self.state.global_step
        return self.vllm_generation

    def _synced(self, sent: Sent) -> None:
        self._last_sent = self._unsaid = sent

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self.use_vllm and self.model.training and self._last_sent is not None:
            every = together(self._last_sent.layers.values())
            if self._unsaid is not None:  # it may have been sent for an evaluation, before the last checkpoint
                self._on_sync(self.rollout, self._unsaid)
                self._unsaid = None
            if not math.isnan(every.survival):  # nothing has moved before the first update
                self._metrics["train"]["sync_survival"].append(every.survival)
                self._metrics["train"]["sync_error"].append(every.error)
        return output


def chosen_sync(model: Any, asked: Sync | None) -> Sync:
    """As asked, or factors wherever the adapter is made of them; raises UserError for factors that it has not."""
    if asked == "factors":
        require_factors(model)
    return asked or ("factors" if serves_factors(model) else "merged")
