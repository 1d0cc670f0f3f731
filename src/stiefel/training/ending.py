"""Turns end alike in what is sampled and in what is learned."""

from __future__ import annotations

from functools import partial
from typing import Any

import trl
from datasets import Dataset
from trl.data_utils import is_conversational

from ..model import closing_token, end_ids


def stop_at_turn_ends(trainer: trl.GRPOTrainer) -> None:
    """Let rollouts end where a turn does, by transformers' generation or by vLLM's.

    TRL knows the tokenizer's end and those of the model's generation config, and vLLM reads the latter of the base's
    directory alone: the chat template's is neither, for a base model.
    """
    tokenizer = trainer._tokenizer
    ends = end_ids(tokenizer, trainer.eos_token_ids)
    trainer.eos_token_ids = ends  # by which TRL masks what follows, and tells a truncated completion
    if trainer.use_vllm:
        asked = trainer.vllm_generation.generation_kwargs
        trainer.vllm_generation.generation_kwargs = {**asked, "stop_token_ids": also(asked, ends)}
    else:
        trainer.generation_kwargs["eos_token_id"] = ends
        trainer.generation_config.eos_token_id = ends


def also(asked: dict[str, Any], ends: list[int]) -> list[int]:
    """The user's own stop tokens, and the ends."""
    return sorted({*(asked.get("stop_token_ids") or ()), *ends})


def closed_rows(prepared: Dataset, rows: Dataset, tokenizer: Any) -> Dataset:
    """TRL's tokens of supervised rows, each of a chat ending with the token that ends a turn, which is learned too.

    A template writes more after that token (a line break, an end of document), which generation never comes to; or it
    writes none, and the model would learn to go on. A row of plain text ends with the tokenizer's end already.
    """
    if not is_conversational(rows[0]):
        return prepared
    return prepared.map(partial(closed, closing=closing_token(tokenizer, chat=True)))


def closed(row: dict[str, list[int]], closing: int) -> dict[str, list[int]]:
    """A row's tokens and labels, up to the last `closing` that is learned, or with one at the end."""
    ids, labels = row["input_ids"], row["labels"]
    last = max((place for place, label in enumerate(labels) if label == closing), default=None)
    if last is None:
        return {"input_ids": [*ids, closing], "labels": [*labels, closing]}
    return {"input_ids": ids[: last + 1], "labels": labels[: last + 1]}
