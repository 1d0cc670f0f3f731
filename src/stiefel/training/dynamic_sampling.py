"""DAPO's dynamic sampling: groups without a difference are replaced by fresh prompts before anything else is computed.

Source: arXiv:2503.14476, Eq. 11: 0 < correct completions < G.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import IterableDataset
from torch import Tensor

from ..errors import UserError
from .divergences import DivergenceTrainer


@dataclass
class Group:
    """The G completions of one prompt: their rows, what was generated, and their rewards (G, functions)."""

    rows: list[dict[str, Any]]
    generated: list[tuple[Any, ...]]  # (prompt_ids, completion_ids, completion, logprobs) of each
    rewards: Tensor

    @property
    def tokens(self) -> int:
        """Of its completions, ends of sequences included."""
        return sum(len(completion_ids) for _, completion_ids, *_ in self.generated)

    @property
    def mixed(self) -> bool:
        """True where the completions differ in correctness, the first reward function, whatever shapes it further."""
        correct = self.rewards[:, 0]
        known = correct[~correct.isnan()]
        return len(known) > 1 and bool((known != known[0]).any())


@dataclass
class PromptCursor:
    """Where the replacements come from: the training rows in a seeded order of their own, pass after pass."""

    rows: int
    seed: int
    taken: int = 0
    _order: list[int] = field(default_factory=list)
    _pass: int = -1

    def take(self, count: int) -> list[int]:
        """The next `count` row numbers."""
        return [self._next() for _ in range(count)]

    def _next(self) -> int:
        number, place = divmod(self.taken, self.rows)
        if number != self._pass:
            self._order = list(range(self.rows))
            random.Random(f"{self.seed}:{number}").shuffle(self._order)
            self._pass = number
        self.taken += 1
        return self._order[place]


class SamplingTrainer(DivergenceTrainer):
    """With `max_gen_batches > 0`, generates up to so many batches until a rollout is full of mixed groups.

    Generation and rewards are computed batch by batch, and every process sees every group, so that all take the same
    decisions; TRL's own scoring then runs once, on the groups that were kept, as if they had been the only ones. Groups
    that were dropped cost no pass for log-probabilities. Where the batches do not suffice, the rollout is filled up
    with groups that take no part in the loss: `zero_std_fraction` is their share. `reward` covers all that was sampled.
    """

    def __init__(self, *args: Any, max_gen_batches: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._max_gen_batches = max_gen_batches
        self._replayed: list[Group] | None = None
        if max_gen_batches and (self.tools or self.environments is not None or self.rollout_func is not None):
            raise UserError(
                "dynamic sampling with tools, environments or a rollout function",
                "a group would have to be sampled again together with what they did",
                "leave out max_gen_batches",
            )
        if max_gen_batches and isinstance(self.train_dataset, IterableDataset):
            raise UserError(
                "dynamic sampling from a stream of prompts",
                "replacements are drawn by their place in the data, and a stream has none",
                "load the data whole (streaming=False), or leave out max_gen_batches",
            )
        self.prompt_cursor = PromptCursor(len(self.train_dataset) if max_gen_batches else 0, self.args.seed)
        self.sampled_completions = 0  # since the trainer was made, of all processes
        self.sampled_tokens = 0  # of these completions

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        if not self._max_gen_batches:
            plain: dict[str, Any] = super()._generate_and_score_completions(inputs)
            count = len(inputs) * self.accelerator.num_processes
            self.sampled_completions += count
            self.sampled_tokens += round(self._metrics["train"]["completions/mean_length"][-1] * count)
            return plain
        groups, sampled = self._sample_groups(inputs)
        self.sampled_completions += sum(len(group.rows) for group in sampled)
        self.sampled_tokens += sum(group.tokens for group in sampled)
        local = self._local(groups)
        self._replayed = groups
        try:
            output: dict[str, Any] = super()._generate_and_score_completions([row for row, _ in local])
        finally:
            self._replayed = None
        self._leave_out(output, [not group.mixed for group in groups for _ in group.rows])
        metrics = self._metrics["train"]
        totals = torch.cat([self._total(group.rewards) for group in sampled])
        metrics["reward"][-1] = totals.nanmean().item()
        metrics["frac_reward_zero_std"][-1] = sum(not group.mixed for group in groups) / len(groups)
        metrics["sampled_groups"].append(len(sampled))
        return output

    def _leave_out(self, output: dict[str, Any], fills: list[bool]) -> None:
        """Take the completions that only fill the rollout out of the loss and of its count of tokens."""
        if any(fills):
            mask = output["completion_mask"]
            mask[torch.tensor(self._slice(fills), device=mask.device)] = 0
            output["num_items_in_batch"] = self.accelerator.gather(mask.sum()).sum()

    def _sample_groups(self, inputs: list[dict[str, Any]]) -> tuple[list[Group], list[Group]]:
        """(the groups of one rollout, all that were sampled), the same on every process."""
        wanted = self.args.generation_batch_size // self.num_generations
        rows, kept, sampled = inputs, [], []
        seen: set[str] = set()
        for _ in range(self._max_gen_batches):
            batch = self._sample(rows)
            sampled += batch
            kept += [group for group in batch if group.mixed]
            seen |= {repr(group.rows[0]["prompt"]) for group in batch}
            if len(kept) >= wanted:
                return kept[:wanted], sampled
            rows = self._fresh(wanted, seen)
        return kept + [group for group in sampled if not group.mixed][: wanted - len(kept)], sampled

    def _fresh(self, prompts: int, seen: set[str]) -> list[dict[str, Any]]:
        """The next prompts that this rollout has not seen yet, each G times in a row: the part of this process.

        Where the data hold no others, some come again.
        """
        chosen: list[int] = []
        for _ in range(len(self.train_dataset)):
            (number,) = self.prompt_cursor.take(1)
            if repr(self.train_dataset[number]["prompt"]) not in seen:
                chosen.append(number)
            if len(chosen) == prompts:
                break
        chosen += self.prompt_cursor.take(prompts - len(chosen))
        numbers = [n for n in chosen for _ in range(self.num_generations)]
        return [self.train_dataset[number] for number in self._slice(numbers)]

    def _slice(self, items: list[Any]) -> list[Any]:
        """The part of this process of what all share equally."""
        size = len(items) // self.accelerator.num_processes
        start = self.accelerator.process_index * size
        return items[start : start + size]

    def _sample(self, rows: list[dict[str, Any]]) -> list[Group]:
        """One batch, generated and rewarded: the groups of all processes."""
        prompts = [row["prompt"] for row in rows]
        prompt_ids, completion_ids, tool_mask, completions, logprobs, extra, images, _ = super()._generate(prompts)
        assert tool_mask is None
        assert images is None
        assert not extra
        rewards: Tensor = super()._calculate_rewards(rows, prompts, completions, completion_ids)
        local = zip(rows, prompt_ids, completion_ids, completions, logprobs or [None] * len(rows), strict=True)
        every = gather_object(list(local))
        G = self.num_generations
        return [
            Group(
                [row for row, *_ in every[i : i + G]],
                [tuple(rest) for _, *rest in every[i : i + G]],
                rewards[i : i + G],
            )
            for i in range(0, len(every), G)
        ]

    def _local(self, groups: list[Group]) -> list[tuple[dict[str, Any], tuple[Any, ...]]]:
        """The rows of the chosen groups that are for this process, with what was generated for each."""
        pairs = [pair for group in groups for pair in zip(group.rows, group.generated, strict=True)]
        return self._slice(pairs)

    def _total(self, rewards: Tensor) -> Tensor:
        """The weighted sum over reward functions; NaN where none gave a reward."""
        total: Tensor = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        total[rewards.isnan().all(dim=1)] = torch.nan
        return total

    # What TRL's scoring is given again

    def _generate(self, prompts: list[Any]) -> Any:
        if self._replayed is None:
            return super()._generate(prompts)
        prompt_ids, completion_ids, completions, logprobs = zip(
            *(generated for _, generated in self._local(self._replayed)), strict=True
        )
        kept = None if logprobs[0] is None else list(logprobs)
        return list(prompt_ids), list(completion_ids), None, list(completions), kept, {}, None, []

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        if self._replayed is None:
            rewards: Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
            return rewards
        # a group that only fills the rollout has no reward, so TRL gives it no advantage
        return torch.cat([g.rewards if g.mixed else torch.full_like(g.rewards, torch.nan) for g in self._replayed])
