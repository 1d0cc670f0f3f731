"""A new engine: whatever writes a completion for each prompt. In Stiefel its place is beside evaluation/hf.py."""

from collections.abc import Sequence
from typing import Any

import torch

from stiefel import UserError
from stiefel.evaluation import Completion, read_completion
from stiefel.model import end_ids
from stiefel.tasks import Sampling


class PlainEngine:
    """Greedy completions, a pass over the whole text for each token: no cache and no padding that could be wrong."""

    def __init__(self, model: Any, tokenizer: Any, sampling: Sampling, stop: Sequence[str] = ()) -> None:
        if sampling.temperature != 0:
            raise UserError(f"temperature {sampling.temperature:g}", "this engine draws nothing", "set it to 0")
        self.model, self.tokenizer, self.limit, self.stop = model, tokenizer, sampling.max_tokens, list(stop)
        self.ends = set(end_ids(tokenizer, model.generation_config.eos_token_id))

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
        """The completions, in order; an engine that draws gives each the seed that stands beside its prompt."""
        return [self.write(prompt) for prompt in prompts]

    def write(self, prompt: list[int]) -> Completion:
        """One completion; `read_completion` cuts and decodes those of every engine alike."""
        tokens: list[int] = []
        while len(tokens) < self.limit and not self.ended(tokens):
            with torch.inference_mode():
                logits = self.model(torch.tensor([prompt + tokens], device=self.model.device)).logits
            tokens.append(int(logits[0, -1].argmax()))
        return read_completion(self.tokenizer, tokens, self.ends, self.stop, truncated=not self.ended(tokens))

    def ended(self, tokens: list[int]) -> bool:
        """Whether the last token, or a text of the completion, is an end."""
        text = self.tokenizer.decode(tokens) if self.stop else ""
        return bool(tokens) and (tokens[-1] in self.ends or any(mark in text for mark in self.stop))
