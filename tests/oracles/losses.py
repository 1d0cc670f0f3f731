"""DAPO, GRPO and Dr. GRPO written down from the papers, in float64; nothing of TRL is used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Batch:
    """One mini-batch: log-probabilities, entropies and mask (B, T), advantages (B,), tokens of the whole rollout."""

    new: np.ndarray
    old: np.ndarray
    reference: np.ndarray
    entropy: np.ndarray
    advantages: np.ndarray
    mask: np.ndarray
    rollout_tokens: int


@dataclass(frozen=True)
class Settings:
    low: float
    high: float
    dual: float | None
    beta: float
    entropy: float
    updates: int
    longest: int


def token_losses(batch: Batch, settings: Settings) -> np.ndarray:
    """Clipped surrogate as verl writes it (three losses, by the advantage's sign), plus β·k3 to the reference."""
    ratio = np.exp(batch.new - batch.old)
    A = np.broadcast_to(batch.advantages[:, None], ratio.shape)
    clipped = np.maximum(-A * ratio, -A * np.clip(ratio, 1 - settings.low, 1 + settings.high))
    if settings.dual is not None:  # Ye et al. 2020, Eq. 5: where A < 0 the loss stays below dual·|A|
        clipped = np.where(A < 0, np.minimum(clipped, -A * settings.dual), clipped)
    away = batch.reference - batch.new
    return clipped + settings.beta * (np.exp(away) - away - 1)


def loss(name: str, batch: Batch, settings: Settings) -> float:
    """The scalar of one update."""
    tokens = token_losses(batch, settings) * batch.mask
    if name == "dapo":  # token mean, over the mean mini-batch of the rollout
        mean = tokens.sum() / (batch.rollout_tokens / settings.updates)
    elif name == "grpo":  # mean over completions of each one's mean
        mean = np.mean(tokens.sum(1) / batch.mask.sum(1))
    else:  # Dr. GRPO: a constant instead of lengths
        mean = tokens.sum() / (len(tokens) * settings.longest)
    return float(mean - settings.entropy * (batch.entropy * batch.mask).sum() / batch.mask.sum())


def advantages(name: str, rewards: np.ndarray, group: int) -> np.ndarray:
    """R − mean of the group, over its standard deviation but in Dr. GRPO; TRL adds 1e-4 to the deviation."""
    groups = rewards.reshape(-1, group)
    centred = groups - groups.mean(1, keepdims=True)
    if name != "dr_grpo":
        centred = centred / (groups.std(1, ddof=1, keepdims=True) + 1e-4)
    return centred.reshape(-1)
