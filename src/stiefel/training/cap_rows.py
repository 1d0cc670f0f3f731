"""Other text on which an update may not cost more than its share either: what the task's own tokens do not see.

A step that hardly shows in the answers to one kind of question can be a large one everywhere else. Here its cost is the
KL over the whole vocabulary, KL(π_θ‖π_θ₀) = Σ_v π_θ(v)·(log π_θ(v) − log π_θ₀(v)), a mean over the positions of the
answers or texts. Small steps in one direction add up to a large one, so that the KL to the reference is bounded too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..model import closing_token
from ..tasks import Messages, prompt_tokens, read_file

COLUMNS = "the columns are prompt and answer, or text"


@dataclass(frozen=True)
class CapRow:
    """A text's tokens; those from `start` on are predicted and counted."""

    tokens: list[int]
    start: int


def cap_rows(path: Path, tokenizer: Any, context: int) -> list[CapRow]:
    """The rows of a file with the columns prompt and answer, or text; `context` is the longest that fits, 0 any.

    An answer's end of turn is counted with it. Raises UserError, naming the row, for one that the tokenizer or the
    context cannot take.
    """
    if not path.is_file():
        raise UserError(f"optim.kl_cap_rows = {str(path)!r} is no file", "there are no rows to hold", COLUMNS)
    table = read_file(path)
    if not len(table):
        raise UserError(f"{path} is empty", "there are no rows to hold", COLUMNS)
    return [
        checked(row(table[number], tokenizer, f"row {number + 1} of {path}"), tokenizer, context, number + 1, path)
        for number in range(len(table))
    ]


def read_rows(rows: str | Path | Sequence[CapRow], tokenizer: Any, context: int) -> Sequence[CapRow]:
    """The rows of a file, or those that were read already."""
    if isinstance(rows, str | Path):
        return cap_rows(Path(rows).expanduser(), tokenizer, context)
    if not all(isinstance(one, CapRow) for one in rows):
        raise UserError(
            "kl_cap_rows holds no rows", "it is a file's name, or what was read of one", 'kl_cap_rows="FILE"'
        )
    return rows


def row(record: Any, tokenizer: Any, place: str) -> CapRow:
    """The tokens of one record."""
    text, prompt, answer = (record.get(name) for name in ("text", "prompt", "answer"))
    if isinstance(text, str) and text and prompt is None:
        return CapRow(tokenizer(text)["input_ids"], 1)
    if isinstance(prompt, str | list) and prompt and isinstance(answer, int | float) and not isinstance(answer, bool):
        raise UserError(
            f"the answer in {place} is a number, {answer!r}",
            "held is what stands there as a text, and a number may be written in several ways",
            f'write it as a text, in JSON lines: "answer": "{answer}"',
        )
    if not isinstance(prompt, str | list) or not prompt or not isinstance(answer, str) or not answer:
        raise UserError(f"{place} holds neither a text nor a prompt and its answer", "nothing is to be held", COLUMNS)
    asked: str | Messages = prompt
    before = prompt_tokens(asked, tokenizer, chat=False)
    said = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return CapRow([*before, *said, closing_token(tokenizer, chat=isinstance(prompt, list))], len(before))


def checked(found: CapRow, tokenizer: Any, context: int, number: int, path: Path) -> CapRow:
    """The row, if the model can read it."""
    place = f"row {number} of {path}"
    strange = {tokenizer.unk_token_id, tokenizer.pad_token_id} - {None, tokenizer.eos_token_id}
    if strange & set(found.tokens):
        raise UserError(
            f"{place} holds signs that the model's tokenizer does not know",
            "they would all be one and the same token",
            "leave that row out",
        )
    if context and len(found.tokens) > context:
        raise UserError(
            f"{place} has {len(found.tokens)} tokens",
            f"the model's context is {context}",
            "shorten it, or leave it out",
        )
    if len(found.tokens) <= found.start:
        raise UserError(f"{place} has no position to predict", "it is a single token", "give a longer text")
    return found


class RowCost:
    """What an update costs on some rows, and how far it takes the policy from where none of them had been taken.

    Every process scores all of them: they are few, and sharded weights are gathered for as many passes in each.
    Memory: the log-probabilities of the whole vocabulary at the rows' positions, twice.
    """

    def __init__(self, rows: Sequence[CapRow], batch: int, device: torch.device) -> None:
        self._batches = [padded(rows[start : start + batch], device) for start in range(0, len(rows), batch)]
        self._before: list[Tensor] = []
        self._reference: list[Tensor] = []

    @property
    def has_reference(self) -> bool:
        """Whether the policy to stay near to is known."""
        return bool(self._reference)

    @torch.no_grad()
    def refer(self, model: Any) -> None:
        """Remember the policy to stay near to, which the model plays now."""
        self._reference = self._scored(model)

    @torch.no_grad()
    def begin(self, model: Any) -> None:
        """Remember the policy before an update: log π of the whole vocabulary at every counted position."""
        self._before = self._scored(model)

    @torch.no_grad()
    def sums(self, model: Any) -> Tensor:
        """(Σ KL to the policy before, Σ KL to the reference, positions), float64; NaN where logits are no numbers."""
        new = self._scored(model)
        return torch.stack([total_kl(new, self._before), total_kl(new, self._reference), positions(new)]).cpu()

    def drift(self) -> Tensor:
        """(Σ KL from the policy before the update to the reference, positions), float64."""
        return torch.stack([total_kl(self._before, self._reference), positions(self._before)]).cpu()

    def _scored(self, model: Any) -> list[Tensor]:
        return [log_probabilities(model, *batch) for batch in self._batches]


def total_kl(new: Sequence[Tensor], old: Sequence[Tensor]) -> Tensor:
    """Σ over positions of KL(new‖old), float64; 0 where there is nothing to compare with."""
    terms = [
        torch.where(n.exp() == 0, 0.0, n.exp() * (n - o)).sum(dtype=torch.float64)  # 0·∞ is 0
        for n, o in zip(new, old, strict=bool(old))
    ]
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64, device=new[0].device)


def positions(scored: Sequence[Tensor]) -> Tensor:
    """How many were scored."""
    return torch.tensor(float(sum(map(len, scored))), dtype=torch.float64, device=scored[0].device)


def padded(rows: Sequence[CapRow], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, attention, which positions predict a counted token), each (N, T); the padding, on the right, is masked."""
    longest = max(len(one.tokens) for one in rows)
    ids, attention, counted = (torch.zeros(len(rows), longest, dtype=torch.long, device=device) for _ in range(3))
    for number, one in enumerate(rows):
        length = len(one.tokens)
        ids[number, :length] = torch.tensor(one.tokens, device=device)
        attention[number, :length] = 1
        counted[number, one.start - 1 : length - 1] = 1
    return ids, attention, counted.bool()


def log_probabilities(model: Any, ids: Tensor, attention: Tensor, counted: Tensor) -> Tensor:
    """Log π over the vocabulary at the counted positions (K, V), float32."""
    logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits
    chosen: Tensor = logits[counted].to(torch.float32)
    return chosen.log_softmax(-1)
