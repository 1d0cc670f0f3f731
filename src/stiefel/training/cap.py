"""A step no dearer than a budget: what an update cost in KL, and the update shortened along itself where that is more.

Where an update takes θ₀ to θ, its cost is KL(π_θ‖π_θ₀) on the update's own tokens. Small steps cost c² of it at
θ₀ + c(θ − θ₀), so that c = √(share/cost) is where to look; what is found there is measured again. A step is never made
longer: where rewards hardly differ a budget that must be spent would be spent on noise. Source of the bound: a step's
KL bounds how far each block of weights moves (RLPO paper, arXiv:2606.31813, Theorem 4.2).

In a 16-bit type two policies that hardly differ are scored apart by their rounding alone, which costs as much as a step
does: about 1e-3 nats a token of a small pretrained model in bfloat16. That part is the same wherever the policy is put,
so where a step seems too dear it is measured close to θ₀ and taken off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import DistributedType
from torch import Tensor
from torch.optim import Optimizer
from transformers import TrainerCallback

from ..errors import UserError, require_number
from ..model import context_of
from .cap_rows import CapRow, RowCost, read_rows
from .divergences import sums
from .kl import kl_of_new_from_rollout
from .own_weights import MasterAdamW
from .sync import SyncedTrainer

TOTAL = 1e-2  # nats a position: of answers of ten tokens that are sure, about one in fifty goes
TRIES = 3  # lengths that are looked at below the whole step
NEAR = 1.05  # times the share: near enough to stop looking
AT_MOST = 1.3  # times the share: what passes it after the last try is undone
FAINT = 0.1  # of the length at which a step would cost its share: of that a hundredth is left, and all of the rounding
BLIND = 0.1  # of the length, where the logits are no numbers and say nothing of how far to go back


@dataclass(frozen=True)
class Step:
    """What was made of an update: its KL, nats a token, the c that it was shortened to, and how often it was scored."""

    kl: float
    scale: float
    passes: int


def shortened(
    cost: Callable[[], float],
    place: Callable[[float], None],
    share: float,
    less_rounding: Callable[[], float] | None = None,
) -> Step:
    """The update as far as its share goes: `cost` measures where the policy stands, `place` puts it to a c of [0, 1].

    Left whole where it costs no more than the share. Else c is sought with KL ~ c², TRIES times at most, until it is
    NEAR the share; what then still passes AT_MOST shares, or is no number, is undone: c = 0. In a 16-bit type a step
    that seems too dear is looked at FAINT of the way to the share first: `less_rounding` takes what is measured there
    off the costs, from then on, and returns what the whole step costs without it.
    """
    scale, kl, passes = 1.0, cost(), 1
    if kl <= share:
        return Step(kl, scale, passes)
    if less_rounding is not None and math.isfinite(kl):
        place(faint(kl, share))
        kl, passes = less_rounding(), 2
        if kl <= share:
            place(1.0)
            return Step(kl, scale, passes)
    for _ in range(TRIES):
        scale *= math.sqrt(share / kl) if math.isfinite(kl) else BLIND
        place(scale)
        kl, passes = cost(), passes + 1
        if kl <= NEAR * share:
            return Step(kl, scale, passes)
    if kl <= AT_MOST * share:
        return Step(kl, scale, passes)
    place(0.0)
    return Step(0.0, 0.0, passes)


def used_up(before: float, now: float, total: float) -> float:
    """Which part of what was left of a total is gone; nothing where there is no bound, or it is kept."""
    if not total or now <= max(total, before):
        return 0.0
    return (now - before) / (total - before) if total > before else math.inf


def faint(kl: float, share: float) -> float:
    """How far to go along a step of this cost for next to nothing of a share."""
    return FAINT * min(1.0, math.sqrt(share / kl)) if math.isfinite(kl) and kl > 0 else FAINT


class Movable:
    """The parameters of an optimizer before its step, between which and those after it they can be put anywhere."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.start = [parameter.detach().clone() for parameter in self._parameters()]
        self._end: list[Tensor] = []

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @torch.no_grad()
    def place(self, scale: float) -> None:
        """θ₀ + c(θ − θ₀), of the decay's part of the step as of the gradient's; θ₀ to the bit at c = 0."""
        parameters = self._parameters()
        if not self._end:
            self._end = [parameter.detach().clone() for parameter in parameters]
        for parameter, start, end in zip(parameters, self.start, self._end, strict=True):
            parameter.copy_(torch.lerp(start, end, scale) if scale else start)
        if isinstance(self.optimizer, MasterAdamW):
            self.optimizer.write_back()

    @property
    def lost(self) -> bool:
        """Whether the step, once it was placed, is no number; its gradients were none, and its moments are none now."""
        return not all(bool(parameter.isfinite().all()) for parameter in self._end)


class CappedTrainer(SyncedTrainer):
    """With `kl_cap`, nats a response token a rollout, an update is shortened to its share of it; 0 leaves it alone.

    The share is kl_cap / updates_per_rollout. The update's own tokens are scored once more after it, without dropout,
    and at every further try; in a 16-bit type a step that seems too dear takes one pass more, for its rounding. AdamW's
    moments stay those of the whole step. AdaLoRA cuts its triplets afterwards, which is no step. A step that is no
    number is left: undone it would hide that no later one is a number either. With `kl_cap_rows`, a file or what
    `cap_rows` reads of one, the update may cost no more on these either, and all updates together no more than
    `kl_cap_total` by the KL to the reference (0 sets no such bound), which takes a pass before it and one at every
    look. Logged: `kl_update`, `kl_rows`, `kl_rows_total`, `step_scale`, `cap_passes`, and of a 16-bit type
    `kl_rounding`. Raises UserError for a cap that is no number of 0 or more, for rows without one or that cannot be
    taken, and under DeepSpeed, which takes its steps by itself. Memory: twice what trains; of rows the
    log-probabilities of the whole vocabulary at their positions, twice.
    """

    def __init__(
        self,
        *args: Any,
        kl_cap: float = 0.0,
        kl_cap_rows: str | Path | Sequence[CapRow] = (),
        kl_cap_total: float = TOTAL,
        **kwargs: Any,
    ) -> None:
        for name, value in (("kl_cap", kl_cap), ("kl_cap_total", kl_cap_total)):
            require_number(name, value, lambda value: 0 <= value < math.inf, "0 or more", whole=False)
        if kl_cap_rows and not kl_cap:
            raise UserError("kl_cap_rows without kl_cap", "there is no bound to hold on these rows", "set kl_cap too")
        super().__init__(*args, needs_base=bool(kl_cap and kl_cap_rows and kl_cap_total), **kwargs)
        self._rows_total = kl_cap_total  # on the rows, to the reference; 0 sets no bound
        self._share = kl_cap / self.updates_per_rollout
        self._measured: list[float] = []  # on the update's own tokens, and on the rows where there are any
        self._rounding: list[float] = []  # of each, what rounding adds; empty where it was not looked for
        self._costs: list[float] = []  # the one less the other
        self._of_update: list[tuple[dict[str, Any], Tensor]] = []  # its pieces, and their log-probabilities before it
        self._before: Movable | None = None
        self._elsewhere: RowCost | None = None
        self._drift = [0.0, 0.0]  # on the rows, the KL to the reference before the update and where it stands
        if not kl_cap:
            return
        if kl_cap_rows:
            rows = read_rows(kl_cap_rows, self.processing_class, context_of(self._bare_model.config.to_dict()))
            self._elsewhere = RowCost(rows, self.args.per_device_train_batch_size, self.accelerator.device)
        if self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            raise UserError(
                "kl_cap under DeepSpeed", "it takes its steps by itself, and they cannot be taken back", "DDP or FSDP2"
            )
        # first, so that whoever looks at the weights sees those that stay
        self.callback_handler.callbacks.insert(0, CapCallback(self))

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss: Tensor = super()._compute_loss(model, inputs)
        if self._share and self.model.training:
            assert self._logps is not None
            self._of_update.append((inputs, self._logps))
        return loss

    def begin_update(self) -> None:
        """Right before the optimizer's step."""
        assert self.optimizer is not None
        bare = self.optimizer.optimizer if isinstance(self.optimizer, AcceleratedOptimizer) else self.optimizer
        self._before = Movable(bare)
        if self._drops_out:  # what the loss scored has dropout in it
            self._of_update = [(inputs, self._score(self.model, inputs)) for inputs, _ in self._of_update]
        if self._elsewhere is not None:
            with self._as_scored():
                if self._rows_total and not self._elsewhere.has_reference:
                    assert self.base_policy is not None
                    with self.base_policy.applied():
                        self._elsewhere.refer(self._bare_model)
                self._elsewhere.begin(self._bare_model)
                self._drift[0] = self._quotient(self._elsewhere.drift().to(self.accelerator.device))

    def end_update(self) -> None:
        """Right after it; every process takes part, and all decide alike."""
        assert self._before is not None
        self._rounding = []
        step = shortened(self._dearest, self._before.place, self._share, self._less_rounding if self.narrow else None)
        if step.scale == 0 and self._before.lost:
            self._before.place(1.0)
            step = replace(step, scale=1.0)
        undone = step.scale == 0
        logged = self._metrics["train"]
        for name, cost in zip(("kl_update", "kl_rows"), self._costs, strict=False):
            logged[name].append(0.0 if undone else cost)
        if self._elsewhere is not None and self._rows_total:
            logged["kl_rows_total"].append(self._drift[0] if undone else self._drift[1])
        logged["step_scale"].append(step.scale)
        logged["cap_passes"].append(step.passes)
        if self.narrow:
            logged["kl_rounding"].append(max(self._rounding, default=0.0))
        self._before, self._of_update = None, []

    def _dearest(self) -> float:
        """What the update costs where the policy stands, in shares as `_in_one` has it."""
        self._measured = self._costs_now()
        return self._in_one()

    def _less_rounding(self) -> float:
        """What the whole update costs, the policy standing where next to nothing of it is left; NaN is no rounding."""
        whole, drift = self._measured, self._drift[1]
        self._rounding = [cost if math.isfinite(cost) else 0.0 for cost in self._costs_now()]
        self._measured, self._drift[1] = whole, drift
        return self._in_one()

    def _costs_now(self) -> list[float]:
        """On the update's own tokens and on the rows where there are any; notes the rows' KL to the reference."""
        found = [self._own_cost()]
        if self._elsewhere is not None:
            with self._as_scored():
                step, drift, count = self._elsewhere.sums(self._bare_model).to(self.accelerator.device)
            found.append(self._quotient(torch.stack([step, count])))
            self._drift[1] = self._quotient(torch.stack([drift, count]))
        return found

    def _in_one(self) -> float:
        """The largest of the measured costs, less the rounding of each, and of what was left of the total on the rows.

        That is in shares as well: an update that uses up what is left of the total costs one. NaN where a cost is.
        """
        rounding = self._rounding or [0.0] * len(self._measured)
        self._costs = [
            cost if math.isnan(cost) else max(cost - less, 0.0)
            for cost, less in zip(self._measured, rounding, strict=True)
        ]
        parts = [*self._costs]
        if self._elsewhere is not None:
            parts.append(self._share * used_up(self._drift[0], self._drift[1], self._rows_total))
        return math.nan if any(map(math.isnan, parts)) else max(parts)

    @cached_property
    def narrow(self) -> bool:
        """Whether the model multiplies in a type of 16 bits."""
        weights = (parameter for parameter in self._bare_model.parameters() if parameter.is_floating_point())
        return self.accelerator.mixed_precision != "no" or any(weight.element_size() == 2 for weight in weights)

    @contextmanager
    def _as_scored(self) -> Iterator[None]:
        """As TRL scores tokens: without dropout, in the type that training multiplies in."""
        with self._without_dropout(), self.accelerator.autocast():
            yield

    def _own_cost(self) -> float:
        """KL(π_θ‖π_θ₀), mean over the update's response tokens of all processes; NaN where logits are no numbers."""
        total = torch.stack(
            [
                sums(kl_of_new_from_rollout(self._score(self.model, inputs), before), inputs["completion_mask"])
                for inputs, before in self._of_update
            ]
        ).sum(0)
        return self._quotient(total)


class CapCallback(TrainerCallback):  # type: ignore[misc]
    """Calls the trainer around the optimizer's step."""

    def __init__(self, trainer: CappedTrainer) -> None:
        self._trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Gradients are clipped, nothing has moved."""
        self._trainer.begin_update()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Everything has moved."""
        self._trainer.end_update()
