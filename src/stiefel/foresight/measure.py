"""A recipe → what its first step would do, by each method, on one and the same rollout."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets.utils.logging import disable_progress_bar
from torch import nn

from ..adapter import Certificate, attach, certificate_of, read_certificate, trainable_parameters
from ..model import kind_and_depth
from ..recipe import Recipe
from ..run import load_pair, trained_task
from ..scores import cut_off_warning
from ..training import longest_prompt, rate_factor, training_rows
from .bench import Bench, Progress, gradients_on, sample, started
from .change import matrices_of
from .check import variants
from .figures import MatrixStep, MethodSteps, Preflight
from .full_gradient import FullGradient
from .memory_line import memory_line
from .probe import Probe, ProbeTrainer
from .rate import Spent, rate_for
from .reading import reading
from .rollout import MOST_BATCHES, Rollout

KL_BUDGET = 1e-3  # nats a response token
FIRST_TRIAL = 1e-4  # the first rate that is tried where the recipe's is 0


def preflight(
    recipe: Recipe,
    methods: Sequence[str] = (),
    *,
    kl_budget: float = KL_BUDGET,
    progress: Progress = lambda line: None,
) -> Preflight:
    """The first step's size and KL of each method (the recipe's own by default), before anything is trained.

    One rollout is sampled from the base with the recipe's settings by the run's own trainer; it is, to the token, the
    first rollout of the run. All methods see it: every start is the base's policy, so none is favoured. The gradient
    is that of the first of its `updates_per_rollout` optimizer steps, and the KL is the mean over the response tokens
    of the whole rollout. Each method has a model of its own, read from disk, and every step is undone; no file is
    written. Raises UserError for a recipe that cannot be measured, and where no rollout has a signal. Cost: a rollout,
    a backward pass on the base, and for each method its start, a backward pass and about four steps with a forward
    pass each. Memory: that of a run of the method.
    """
    asked = variants(recipe, methods, kl_budget)
    first = next(iter(asked.values()))
    with on_rollout(first, targets_of(recipe), progress) as (bench, rollout, bases):
        progress("the full weights' gradient, on the base")
        gradients = gradients_on(bench, first, bases.pop(), rollout)
        found = []
        for name, probed in asked.items():
            gc.collect()  # a trainer and its model hold each other
            progress(f"{name}: its start and its first gradient")
            trainer = started(bench, probed, rollout)
            found.append(first_steps(name, trainer, probed, gradients, kl_budget, progress))
            del trainer
    result = Preflight(
        model=recipe.model.path,
        task=bench.task.name,
        algorithm=recipe.algorithm.name,
        seed=recipe.run.seed,
        lr=recipe.optim.lr,
        warmup=rate_factor(recipe.optim)(0),
        max_grad_norm=recipe.optim.max_grad_norm,
        kl_budget=kl_budget,
        rollout=summary(recipe, rollout),
        gradients=gradients,
        kinds={name: kind_and_depth(name)[0] for name in gradients},
        methods=tuple(found),
        notes=(*notes(recipe, rollout), *memory_line(asked, longest_prompt(bench.rows, bench.tokenizer))),
    )
    return replace(result, reading=tuple(reading(result)))


@contextmanager
def on_rollout(
    recipe: Recipe, targets: str | list[str], progress: Progress
) -> Iterator[tuple[Bench, Rollout, list[nn.Module]]]:
    """A bench, the first rollout of a recipe with a signal, and the base that sampled it, with zeros at the targets.

    Whoever takes the base out of its list is the last to hold it.
    """
    disable_progress_bar()
    task = trained_task(recipe)
    with tempfile.TemporaryDirectory() as scratch:
        model, tokenizer = load_pair(recipe)
        sampling = for_sampling(recipe)
        bench = Bench(tokenizer, task, training_rows(sampling, task, tokenizer, progress), Path(scratch))
        bare: list[nn.Module] = [attach(model, "lora", r=1, alpha=1, target_modules=targets)]
        del model
        yield bench, sample(bench, sampling, bare[0], progress), bare


def for_sampling(recipe: Recipe) -> Recipe:
    """The recipe of as many rollouts as are sampled at most; the first rows of a run do not depend on its length."""
    optim = recipe.optim.model_copy(update={"rollouts": MOST_BATCHES})
    return recipe.model_copy(update={"optim": optim})


def targets_of(recipe: Recipe) -> str | list[str]:
    """The matrices whose G₀ is wanted: the recipe's targets, or those of its adapter directory."""
    if not recipe.adapter.path:
        return recipe.adapter.targets
    certificate = read_certificate(Path(recipe.adapter.path))
    on_matrices = certificate.composition.stands_on == "linear"
    return [base.name for base in certificate.bases] if on_matrices else "all-linear"


def first_steps(
    name: str,
    trainer: ProbeTrainer,
    recipe: Recipe,
    gradients: dict[str, FullGradient],
    kl_budget: float,
    progress: Progress,
) -> MethodSteps:
    """One method's figures."""
    difference = trainer.start_difference()
    matrices = [matrix for matrix in matrices_of(trainer.model) if matrix.name in gradients]
    trainer.first_gradient()
    descents = [matrix.descent() for matrix in matrices]
    norm = trainer.clip()
    probe = Probe(trainer)
    lr = recipe.optim.lr
    probe.find_rounding(lr or FIRST_TRIAL, kl_budget)
    rate = lr * rate_factor(recipe.optim)(0)
    with probe.step(rate) as kl:
        steps = [matrix.moved() for matrix in matrices]
    kl_at_lr = kl if rate == lr else probe.kl(lr)
    progress(f"{name}: the rate at which a step costs {kl_budget:g} nats a token")
    budget = search(probe, kl_budget, lr, kl_at_lr)
    assert trainer.start_difference() == difference, "a step was not undone"
    certificate = certificate_of(trainer.model)
    least = over_olora(certificate)
    return MethodSteps(
        method=name,
        scaling=scaling_of(certificate),
        trainable=trainable_parameters(trainer.model),
        bound=bound_of(certificate),
        start_difference=difference,
        gradient_norm=norm,
        clipped=norm > recipe.optim.max_grad_norm,
        rate=rate,
        kl=kl,
        kl_at_lr=kl_at_lr,
        kl_rounding=probe.rounding,
        budget=budget,
        matrices=tuple(
            MatrixStep(
                matrix.name,
                kind_and_depth(matrix.name)[0],
                gradients[matrix.name],
                descent,
                step,
                least.get(matrix.name),
            )
            for matrix, descent, step in zip(matrices, descents, steps, strict=True)
        ),
    )


def search(probe: Probe, budget: float, lr: float, kl: float) -> Spent:
    """The rate for the budget, from what is measured already where that is a step."""
    return rate_for(probe.kl, budget, lr, kl) if lr else rate_for(probe.kl, budget, FIRST_TRIAL, probe.kl(FIRST_TRIAL))


def scaling_of(certificate: Certificate) -> float | None:
    """The s of a LoRA."""
    if certificate.composition.start is None:
        return None
    assert certificate.rank is not None
    assert certificate.alpha is not None
    return certificate.composition.scaling(certificate.rank, certificate.alpha)


def bound_of(certificate: Certificate) -> float | None:
    """s², which no matrix's ratio exceeds where A₀ has orthonormal rows and B₀ = 0 (RLPO paper, Prop. 5.3)."""
    composition, scaling = certificate.composition, scaling_of(certificate)
    claims = composition.main.claims
    if scaling is None or composition.has("dora") or not (claims.a_orthonormal and claims.b_zero):
        return None
    return scaling**2


def over_olora(certificate: Certificate) -> dict[str, float]:
    """How many times OLoRA's plain descent PiSSA's is at least, by matrix (RLPO paper, Theorem 4.1).

    σ_r of what the factors hold: of W where sigma = "undivided", of W/s where it is "divided".
    """
    if certificate.composition.name != "pissa":
        return {}
    divisor = certificate.scaling if certificate.options["sigma"] == "divided" else 1.0
    return {layer.name: layer.singular_values[-1] / divisor for layer in certificate.layers}


def summary(recipe: Recipe, rollout: Rollout) -> dict[str, Any]:
    """The rollout in figures."""
    return {
        "prompts": rollout.groups,
        "completions": rollout.completions,
        "tokens": rollout.tokens,
        "groups_with_a_difference": rollout.mixed,
        "reward": rollout.reward,
        "truncated": rollout.truncated,
        "sampled": rollout.sampled,
        "updates_per_rollout": recipe.optim.updates_per_rollout,
        "completions_of_the_first_update": rollout.first_completions,
    }


def notes(recipe: Recipe, rollout: Rollout) -> list[str]:
    """What differs from the run, or should be known of the batch."""
    found = []
    if rollout.sampled > 1:
        found.append(
            f"{rollout.sampled - 1} rollouts had no signal (all rewards of every group of the first update equal) and "
            "were replaced: the run's first updates would not move it."
        )
    cut = cut_off_warning(
        rollout.truncated,
        "the completions",
        f"rollout.max_completion_tokens = {recipe.rollout.max_completion_tokens}",
        "set it higher, or ask for shorter answers",
    )
    if cut:
        found.append(cut)
    if recipe.rollout.engine == "vllm":
        found.append("The completions were generated by hf in this process; the run's engine is vllm.")
    return found
