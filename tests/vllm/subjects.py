"""Adapters that change what nano writes, prompts, and what transformers writes to them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from stiefel.evaluation.hf import HFEngine
from stiefel.evaluation.sample import Completion, ask
from stiefel.evaluation.subject import Subject, load_subject
from stiefel.evaluation.vllm import VLLMEngine
from stiefel.model.weights import load_tokenizer
from stiefel.tasks import Sampling, find_task

KINDS = ("lora", "rlpo", "rlpo+rslora", "pissa", "geora")
GREEDY = Sampling(samples=1, temperature=0.0, top_p=1.0, top_k=0, max_tokens=40, seed=0)
LONGEST = 128


def shaken(model: Any, scale: float = 0.08) -> Any:
    """A model whose trained parameters were moved at random, as far as its completions show."""
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += scale * torch.randn(parameter.shape, generator=generator)
    return model


@cache
def prompts() -> list[list[int]]:
    """90 questions of the three tasks of nano's."""
    tokenizer, found = load_tokenizer("nano"), []
    for name in ("nano-arithmetic", "nano-reverse", "nano-sort"):
        task = find_task(name)
        found += [question.tokens for question in ask(task, task.rows("test", 30, 0), tokenizer)]
    return found


def by_transformers(subject: Subject, sampling: Sampling = GREEDY) -> list[Completion]:
    """What transformers writes to all prompts."""
    tokenizer = subject.tokenizer()
    return HFEngine(load_subject(subject, tokenizer), tokenizer, sampling)(prompts(), range(len(prompts())))


def engine_of(subject: Subject, sampling: Sampling = GREEDY) -> VLLMEngine:
    """A vLLM that runs."""
    return VLLMEngine(subject, subject.tokenizer(), sampling, [], LONGEST)


def by_vllm(subject: Subject, sampling: Sampling = GREEDY) -> list[Completion]:
    """What vLLM writes to all prompts."""
    return engine_of(subject, sampling)(prompts(), range(len(prompts())))
