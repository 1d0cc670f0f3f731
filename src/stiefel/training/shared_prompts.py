"""A prompt computed once for all of its completions, where they are drawn and where they are scored.

A group's completions follow the same prompt, and a forward pass over each of them computes it again. Here the keys and
values of each distinct prompt, but for its last token, are computed once, and every completion attends to them: the
same function and the same gradient, whose sums are taken in another order. Of P prompts of p tokens with G completions
of c tokens a pass is of Pp + PG(c + 1) tokens in place of PG(p + c): less the longer prompts are than answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import transformers
from packaging import version
from peft import PeftModel
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, DynamicLayer

from ..errors import UserError
from .imported_trl import TRLTrainer
from .noise import drops_out
from .sharding import is_sharded

CACHE = "cache" if version.parse(transformers.__version__) >= version.parse("5.24") else "past_key_values"  # its name
KEY = "rollout.share_prompts"


class SharedPromptTrainer(TRLTrainer):  # type: ignore[misc]
    """With `share_prompts`, computes a prompt once for all its completions that a pass works on.

    Raises UserError for what would make that another function or keeps no keys and values: dropout, activation
    checkpointing, a base that is sharded, a router's own loss, layers whose cache is not of every token. Memory: the
    keys and values of each completion's prompt, layer by layer, in place of all else that a pass keeps of prompts.
    """

    def __init__(self, model: Any, *args: Any, share_prompts: bool = False, **kwargs: Any) -> None:
        self._share_prompts = share_prompts
        super().__init__(model, *args, **kwargs)
        if not share_prompts:
            return
        for what, wrong, why, instead in (
            (
                "dropout",
                bool(self.args.neftune_noise_alpha) or drops_out(model),
                "each completion draws its own, over the prompt too",
                "no dropout or noise",
            ),
            (
                "activation checkpointing",
                bool(self.args.gradient_checkpointing or self.args.activation_checkpointing),
                "it keeps no keys and values, which completions are to share",
                "one of the two; optim.micro_batch saves memory as well",
            ),
            ("FSDP2", is_sharded(model), "a pass over the prompts alone would leave the weights divided", "DDP"),
            ("the loss of a router", self.aux_loss_enabled, "it weighs every token, shared ones once", "leave it out"),
        ):
            if wrong:
                raise UserError(f"{KEY} with {what}", why, instead)

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        own = self._share_prompts and not self.use_vllm  # vLLM shares them by itself
        with shared_prefill(self.accelerator.unwrap_model(self.model)) if own else nullcontext():
            return super()._generate_single_turn(*args, **kwargs)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> Any:
        if not self._share_prompts:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
        assert not any(value is not None for name, value in kwargs.items() if name != "compute_aux_loss"), "text alone"
        assert not kwargs.get("compute_aux_loss"), "refused by the constructor"
        size = batch_size or len(input_ids)
        pieces = zip(torch.split(input_ids, size), torch.split(attention_mask, size), strict=True)
        outputs = [self._scored(model, ids, mask, logits_to_keep) for ids, mask in pieces]
        logps = torch.cat([output.log_probs for output in outputs])
        return logps, torch.cat([output.entropy for output in outputs]) if compute_entropy else None, None

    def _scored(self, model: Any, ids: Tensor, mask: Tensor, completion: int) -> Any:
        """TRL's output with log-probabilities (rows, completion): a prompt's last token is passed with its answers."""
        shared = ids.shape[1] - completion - 1
        own = ids[:, shared:]
        labels = own.masked_fill(mask[:, shared:] == 0, -100)
        labels[:, 0] = -100
        with self.accelerator.autocast():
            cache = prompt_cache(decoder(self.accelerator.unwrap_model(model)), ids[:, :shared], mask[:, :shared])
            given = {CACHE: cache, "labels": labels, "fused_lm_head": True}
            return model(input_ids=own, attention_mask=mask, **given)


def causal(model: Any) -> Any:
    """The language model below an adapter, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def decoder(model: Any) -> nn.Module:
    """What gives hidden states, below an adapter and the output embeddings."""
    found = causal(model).base_model
    assert isinstance(found, nn.Module)
    return found


def prompt_cache(decoder: nn.Module, ids: Tensor, mask: Tensor, **by_row: Tensor) -> DynamicCache | None:
    """Keys and values (rows, …) of what stands before; each distinct row of `ids` and `mask` (rows, n) is passed once.

    None for n = 0. `by_row` is what else a row of tokens is passed with, such as its positions (rows, n). Raises
    UserError for a model of which a layer keeps anything but all keys and values.
    """
    if not ids.shape[1]:
        return None
    distinct, inverse = torch.unique(torch.cat([ids, mask], dim=1), dim=0, return_inverse=True)
    numbers = torch.arange(len(ids), device=ids.device)
    first = inverse.new_full((len(distinct),), len(ids)).scatter_reduce(0, inverse, numbers, "amin")
    passed = {name: value[first] for name, value in by_row.items()}
    output = decoder(input_ids=ids[first], attention_mask=mask[first], use_cache=True, **passed)
    cache = output[CACHE]
    if not isinstance(cache, DynamicCache) or any(type(layer) is not DynamicLayer for layer in cache.layers):
        raise UserError(
            f"{KEY} for {type(decoder).__name__}",
            "its layers do not keep the keys and values of every token (a sliding window, or a state of another kind)",
            f"leave {KEY} out",
        )
    for layer in cache.layers:  # not by indexing, whose gradient is a sum in any order
        layer.keys = layer.keys.index_select(0, inverse)
        layer.values = layer.values.index_select(0, inverse)
    return cache


@contextmanager
def shared_prefill(model: Any) -> Iterator[None]:
    """Within the block `model.generate` computes equal prompts once; what is drawn after them is not shared."""
    below = decoder(model)

    def prefill(module: nn.Module, arguments: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        ids, before = settings["input_ids"], settings[CACHE]
        if ids.shape[1] == 1 or before.get_seq_length():
            return None
        mask = settings.get("attention_mask")  # left out, or None, where no prompt is shorter than another
        by_row = {name: settings[name] for name in ("position_ids",) if settings.get(name) is not None}
        cache = prompt_cache(
            below,
            ids[:, :-1],
            torch.ones_like(ids[:, :-1]) if mask is None else mask[:, :-1],
            **{name: value[:, :-1] for name, value in by_row.items()},
        )
        last = {name: value[:, -1:] for name, value in by_row.items()}
        return arguments, {**settings, "input_ids": ids[:, -1:], **last, CACHE: cache}

    handle = causal(model).register_forward_pre_hook(prefill, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
