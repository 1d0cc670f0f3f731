"""What a page says in words: every number in it is read from the runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from .curves import METRICS
from .engine import engine_warnings
from .groups import OWN, rate
from .numbers import figure
from .runs import Run
from .series import ordered, series_of
from .table import WINDOW, TableRow
from .truncation import warnings

# as in the recipe's own docstrings and in `stiefel.training.kl`
DEFINITIONS = (
    ("reward", f"mean over a rollout's completions; “first” and “last”: means of the first and last {WINDOW} rollouts, "
     f"of half of them each where there are fewer than {2 * WINDOW}"),
    ("gradient norm", "Euclidean norm of the gradient over all trained parameters before clipping, mean of a rollout's "
     "updates; “peak” is the largest of the run"),
    ("KL to base", "KL(π_θ‖π_base), mean over the response tokens of fresh samples of π_θ, by the estimator "
     "r − 1 − log r with r = π_base/π_θ; 0 at the start, because every method starts at the base exactly; of a run "
     "with algorithm.reference = “start”, to the adapter that it started from"),
    ("KL to the policy before it", "KL(π_new‖π_rollout), mean over a rollout's response tokens, to the policy that "
     "wrote them: how large a step the rollout was, and not how far training went; of all its updates (kl_step), or "
     "of all but the last (kl_rollout)"),
    ("completion length", "mean tokens of a rollout's completions"),
    ("engine mismatch", "mean |log π_trainer − log π_engine| over the sampled tokens, where an engine wrote them"),
    ("update survival", "⟨ΔW_played, ΔW⟩/‖ΔW‖² over all adapted layers: how much of the trained update ΔW the engine "
     "plays in its type; error ‖ΔW_played − ΔW‖/‖ΔW‖, and every layer's, in syncs.jsonl"),
    ("dearest update", "KL(π_new‖π_before) of the update that cost most to the policy before it, nats per response "
     "token of its own, after it was shortened to its share of optim.kl_cap; where rows are held (optim.kl_cap_rows), "
     "theirs is in metrics.jsonl"),
    ("updates shortened", "share of all updates that cost more than their share, and were shortened along themselves"),
    ("truncated", "share of a rollout's completions that were cut off at max_completion_tokens, before they ended; in "
     "the table of the last rollouts, as the last reward"),
    ("accuracy", "share of a fixed set of test questions answered correctly, the same before and after training; "
     "[95%] is Wilson's interval, or a bootstrap over questions where a question has several answers; of a mixture "
     "over the questions of all its tasks"),
    ("gain", "accuracy after minus before, paired by question; [95%] is a bootstrap over questions"),
    ("kept", "accuracy before → after on a task that was not trained: what training cost elsewhere"),
    ("pass@k", "chance that at least one of k completions of a question is right, 1 − C(n − c, k)/C(n, k) of c right "
     "ones of n, mean over questions; accuracy is avg@n, the mean over a question's n completions"),
    ("published", "what the recipe quotes of the same method and task, in the published metric, as a fraction; "
     "± over seeds as published"),
    ("trained parameters", "entries of the adapter that receive gradients; “of the base”: their number over that "
     "of the base model's parameters"),
    ("peak memory", "largest of the run's rollouts: of the accelerator's memory where there is one, else of what the "
     "process had resident"),
    ("seconds", "wall-clock time of the rollouts, their updates and measurements included; evaluation is left out"),
    ("±", "sample standard deviation over seeds; intervals [95%] are over questions, of the mean over seeds"),
)  # fmt: skip


ENOUGH_SEEDS = 10  # from here on a sample standard deviation is good to about a quarter


def listed(values: Iterable[Hashable], last: str = "and") -> str:
    """a, b and c; repetitions are dropped."""
    words = [str(value) for value in dict.fromkeys(values)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def counted(count: int, noun: str) -> str:
    """1 seed, 2 seeds."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def labels(runs: Sequence[Run]) -> list[str]:
    """The names of what is compared, in order."""
    return [series.label for series in ordered(series_of(runs).values())]


def title(runs: Sequence[Run]) -> str:
    """Methods, task and model."""
    names = labels(runs)
    methods = listed(names) if len(names) <= 4 else f"{len(names)} methods"
    return f"{methods} on {listed(run.task for run in runs)}"


def sentence(runs: Sequence[Run]) -> str:
    """What was measured."""
    recipes = [run.recipe for run in runs]
    # of full fine-tuning nothing is left that does not train
    counts = {run.manifest.parameters or run.manifest.trainable_parameters for run in runs}
    parameters = sorted(count for count in counts if count is not None)
    size = f" ({listed(f'{count:,}' for count in parameters)} parameters)" if parameters else ""
    seeds = sorted({run.seed for run in runs})
    return (
        f"{listed(recipe.model.path for recipe in recipes)}{size} trained on {listed(run.task for run in runs)} with "
        f"{listed(map(course, runs))}, "
        f"rank {listed(run.rank for run in runs)}, alpha {listed(run.alpha for run in runs)}. "
        f"{counted(len(runs), 'run')}: {listed(labels(runs))}, {at_rates(runs)}, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {listed(seeds)}."
    )


def at_rates(runs: Sequence[Run]) -> str:
    """At which learning rates."""
    if any(run.group.short.startswith(OWN) for run in runs):
        return OWN
    rates = sorted({run.lr for run in runs})
    return f"at learning {'rate' if len(rates) == 1 else 'rates'} {listed(map(rate, rates))}"


def course(run: Run) -> str:
    """DAPO: 60 rollouts of 8 prompts × 8 completions, 2 updates a rollout."""
    algorithm, rollout, optim = run.recipe.algorithm, run.recipe.rollout, run.recipe.optim
    if algorithm.name == "sft":
        return f"SFT: {counted(algorithm.epochs, 'epoch')}, {counted(algorithm.batch, 'sequence')} an update"
    return (
        f"{algorithm.name.upper()}: {counted(optim.rollouts, 'rollout')} of {counted(rollout.prompts, 'prompt')} × "
        f"{counted(rollout.completions, 'completion')}, {counted(optim.updates_per_rollout, 'update')} a rollout"
    )


def progress(run: Run) -> str:
    """5 of 60 rollouts; of supervised training the number of updates is not known before its end."""
    done = len(run.rows)
    return counted(done, "update") if steps(run) == "update" else f"{done} of {run.recipe.optim.rollouts} rollouts"


def steps(run: Run) -> str:
    """What a run's rows count."""
    return "update" if run.recipe.algorithm.name == "sft" else "rollout"


def caution(runs: Sequence[Run]) -> str:
    """How much the number of seeds allows to conclude."""
    series = series_of(runs)
    finished = Counter((series[run.name], run.group) for run in runs if run.finished)
    counts = sorted(set(finished.values()))
    if not counts:
        return "No run has come to its end: nothing here is a result."
    if counts == [1]:
        change = "change the order of the methods" if len(finished) > 1 else "end elsewhere"
        return (
            f"One seed decides nothing: another seed draws other prompts and completions, and can {change}. "
            "The intervals are over test questions only; they do not cover the training's own randomness."
        )
    number = str(counts[-1]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    rough = ", and so few seeds estimate a spread only roughly" if counts[-1] < ENOUGH_SEEDS else ""
    alone = " A row with a single seed has no spread, and decides nothing." if counts[0] == 1 else ""
    return (
        f"Means over {number} seeds ± sample standard deviation: a difference smaller than the spreads decides "
        f"nothing{rough}.{alone}"
    )


def reading(runs: Sequence[Run]) -> str:
    """How the charts are to be read."""
    series = series_of(runs)
    seeds = Counter((series[run.name], run.group) for run in runs if run.rows).values()
    parts = ["Charts of one measurement share their scale."]
    if max(seeds, default=1) > 1:
        parts.append("A line is the mean over seeds, its band goes from the lowest to the highest seed.")
    if min(seeds, default=1) == 1:
        parts.append("A pale line shows single rollouts where the bold one is a trailing mean.")
    parts.append("Point at a line for its values.")
    if len(set(series.values())) > 1:
        parts.append("Press a name to single it out in every chart.")
    return " ".join(parts)


def notes(runs: Sequence[Run], rows: Sequence[TableRow]) -> list[str]:
    """Unfinished runs, what the guard did, measurements that are not finite, and scores that were expected."""
    found = [
        f"{run.name} is unfinished ({run.manifest.status}, {progress(run)}): its curves are drawn as far as they go, "
        "and the table leaves it out."
        for run in runs
        if not run.finished
    ]
    for run in runs:
        for event in run.events:
            done = (
                "the run was ended"
                if event.restored_to is None
                else f"the run went back to rollout {event.restored_to} at half the learning rate"
            )
            found.append(f"{run.name}: the guard saw in rollout {event.step} that {event.reason}; {done}.")
        for metric in METRICS:
            values = run.values(metric.key)
            lost = sum(not math.isfinite(value) for _, value in values)
            if lost:
                found.append(
                    f"{run.name}: {metric.name} is not finite in {lost} of "
                    f"{counted(len(values), steps(run))}; the curve has a gap there."
                )
    cut = [
        f"{run.name}: {line.removeprefix('warning: ')}."
        for run in runs
        for line in (*warnings(run), *engine_warnings(run))
    ]
    return found + cut + published(runs, rows)


def published(runs: Sequence[Run], rows: Sequence[TableRow]) -> list[str]:
    """Where published scores come from, and which of them the table has no measurement of ours for."""
    found: dict[str, list[str]] = {}  # source → what is missing
    for row in rows:
        here = next(run for run in runs if run.method == row.series.method)
        missing = found.setdefault(here.recipe.expected.source or "the recipe", []) if row.published else []
        missing += [
            f"{task} of {row.series.label} ({one.metric} {figure(one.after)})"
            for task, one in row.published.items()
            if one.our_after is None
        ]
    return [
        f"Published scores are of: {source}." + (f" Not measured here: {listed(missing)}." if missing else "")
        for source, missing in found.items()
    ]
