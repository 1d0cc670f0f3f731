"""verl's `data.custom_cls`: the rows that `stiefel train` would train on, in their order, and those that are measured.

Imported by verl, where it also makes our agent loop known.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from ..errors import UserError
from ..model import end_ids, load_tokenizer, model_ends, resolve_model, visible_ends
from ..recipe import Recipe
from ..tasks import (
    Messages,
    Task,
    check_held_out,
    measured_task,
    opened_thinking,
    prompt_tokens,
    rendered,
    shown,
    stops,
    training_task,
)
from ..training import record, training_rows
from . import agent_loop  # noqa: F401  its name is in the overrides
from .failure import require_no_failure
from .handed import handed_recipe, read_handed
from .measured import by_verl
from .unreadable import readable

TRAIN, EVAL = "train", "eval"  # what stands in data.train_files and data.val_files


class Rows(Dataset[dict[str, Any]]):
    """A prompt for every rollout's place, or every question that verl measures, with the fields of verl's RLHFDataset.

    verl gives it `data_files` ("train" or "eval"), its tokenizer, which is left aside for the recipe's, and its
    settings. Raises UserError for rows that `stiefel train` would refuse, and once a reward has failed: verl drops such
    a completion and goes on.
    """

    def __init__(
        self,
        data_files: str | Sequence[str],
        tokenizer: Any,
        config: Any,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        which = data_files if isinstance(data_files, str) else data_files[0]
        assert which in (TRAIN, EVAL)
        told = read_handed()
        sys.path.insert(0, told["directory"])  # where a task's or a reward's own module is
        self.failed = Path(told["failed"])
        recipe = handed_recipe(told["recipe"])
        model = recipe.model
        self.tokenizer = load_tokenizer(model.path, model.revision, model.chat_template_options)
        of_model = model_ends(resolve_model(model.path, model.revision))
        self.ends = end_ids(self.tokenizer, of_model, model.turn_ends)
        self.endings = list(visible_ends(self.tokenizer, self.ends))
        self.known: dict[str, tuple[list[int], str]] = {}
        rows = self.training(recipe) if which == TRAIN else self.measured(recipe)
        self.rows = rows if max_samples < 0 else rows[:max_samples]

    def training(self, recipe: Recipe) -> list[dict[str, Any]]:
        """The recipe's rows, those left out whose gold no completion could be graded by."""
        task = readable(training_task(recipe.task), say)
        found = training_rows(recipe, task, self.tokenizer, say)
        for name in recipe.eval.tasks:
            check_held_out(found["prompt"], measured_task(name, recipe.task), recipe.eval.limit)
        return [self.row(place, TRAIN, task, entry) for place, entry in enumerate(found)]

    def measured(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Every question of every task; where verl measures none, the first row, as its loader takes no empty set."""
        if not by_verl(recipe):
            first = recipe.model_copy(update={"optim": recipe.optim.model_copy(update={"rollouts": 1})})
            return self.training(first)[:1]
        found: list[dict[str, Any]] = []
        for task in (measured_task(name, recipe.task) for name in recipe.eval.tasks):
            for question in task.rows("test", recipe.eval.limit, 0):
                row = self.row(len(found), EVAL, task, record(question))
                room, length = recipe.rollout.max_prompt_tokens, len(row["extra_info"]["prompt_ids"])
                if length > room:
                    raise UserError(
                        f"a question of {task.name} has {length} tokens",
                        f"verl has room for {room}, and would cut it without a word",
                        f'set rollout.max_prompt_tokens to {length} or more, or eval.sampling = "task"',
                    )
                found.append(row)
        return found

    def row(self, place: int, split: str, task: Task, entry: dict[str, Any]) -> dict[str, Any]:
        """What verl wants of a row; its `extra_info` is what our agent loop and our reward read."""
        prompt: str | Messages = shown(entry["prompt"], self.tokenizer, chat=task.chat and split == EVAL)
        messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        ids, opening = self.read(prompt)
        return {
            "data_source": task.name,
            "prompt": messages,
            "raw_prompt": messages,
            "ability": task.name,
            "reward_model": {"style": "rule", "ground_truth": entry["answer"]},
            "extra_info": {
                "split": split,
                "index": place,
                "columns": entry["columns"],
                "prompt_ids": ids,
                "ends": self.ends,
                "endings": self.endings,
                "opening": opening,
                "stops": list(stops(task, self.tokenizer)) if split == EVAL else [],
            },
            "index": place,
            "tools_kwargs": {},
            "interaction_kwargs": {},
        }

    def read(self, prompt: str | Messages) -> tuple[list[int], str]:
        """A prompt's tokens and what it has opened; a run goes through its prompts many times, and keeps each once."""
        key = json.dumps(prompt)
        if key not in self.known:
            text = rendered(prompt, self.tokenizer, chat=False)
            self.known[key] = prompt_tokens(prompt, self.tokenizer, chat=False), opened_thinking(text)
        return self.known[key]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        require_no_failure(self.failed)
        return {**self.rows[place], "dummy_tensor": torch.tensor([0], dtype=torch.uint8)}


def say(line: str) -> None:
    """What is to be known of the rows, in verl's log."""
    print(f"stiefel: {line}", flush=True)
