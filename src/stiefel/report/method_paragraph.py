"""A comparison's methods section, to be pasted into a paper: every number in it is read from the runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence

from .evidence import Evidence
from .fairness import answered, options, rates_given, targets
from .groups import rate
from .ranking import Ranking
from .runs import Run
from .series import shown
from .settings import no_defaults
from .words import counted, course, labels, listed


def method_paragraph(evidence: Evidence) -> str:
    """Model, adapters, training, evaluation, statistics, software and hardware."""
    runs = evidence.runs
    sentences = [
        f"We compared {listed(labels(runs))} on {model(runs)}.",
        adapters(runs),
        f"{each(runs, training)}.",
        digests(runs),
        f"The optimizer was {each(runs, options)}.",
        learning_rates(evidence),
        f"The runs were repeated with {seeds(runs)}.",
        *measured(evidence),
        the_rest(evidence),
        *([statistics(evidence.ranking)] if not isinstance(evidence.ranking, str) else []),
        made_with(runs),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def each(runs: Iterable[Run], of: Callable[[Run], str]) -> str:
    """What a function says of the runs, without repetitions."""
    return "; or ".join(dict.fromkeys(of(run) for run in runs))


def model(runs: Sequence[Run]) -> str:
    """Each base with its size, its type and what its weights can be recognized by."""
    found = []
    for path in dict.fromkeys(run.recipe.model.path for run in runs):
        mine = [run for run in runs if run.recipe.model.path == path]
        sizes = {run.manifest.base_parameters for run in mine} - {None}
        settings = mine[0].recipe.model
        fingerprints = {name: print_ for run in mine for name, print_ in run.manifest.base.items()}
        facts = [
            *(f"{size:,} parameters" for size in sorted(size for size in sizes if size is not None)),
            settings.dtype,
            *([f"revision {settings.revision}"] if settings.revision else []),
            *([f"weights {digest(fingerprints)}"] if fingerprints else []),
        ]
        found.append(f"{path} ({', '.join(facts)})")
    return listed(found)


def digest(fingerprints: dict[str, str]) -> str:
    """One short name of all adapted weights of a base: SHA-256 of their fingerprints, by name."""
    return hashlib.sha256(json.dumps(sorted(fingerprints.items())).encode()).hexdigest()[:16]


def adapters(runs: Sequence[Run]) -> str:
    """Rank, alpha, targets, and how many parameters train."""
    counts = sorted({run.manifest.trainable_parameters for run in runs if run.manifest.trainable_parameters})
    trained = f", {listed((f'{count:,}' for count in counts), 'or')} trained parameters" if counts else ""
    drops = sorted({run.recipe.adapter.dropout for run in runs} - {0.0})
    dropout = f", dropout {listed(map(shown, drops), 'or')}" if drops else ""
    return (
        f"The adapters had rank {listed((run.rank for run in runs), 'or')} and alpha "
        f"{listed((run.alpha for run in runs), 'or')} on {listed(map(targets, runs), 'or')} layers{trained}{dropout}."
    )


def training(run: Run) -> str:
    """The algorithm with what its loss depends on, and the rows."""
    algorithm, rollout = run.recipe.algorithm, run.recipe.rollout
    if algorithm.name == "sft":
        return f"They were trained by {course(run)}, on {listed(run.trained)}"
    bounds = f"clipping 1 − {algorithm.clip_low:g} to 1 + {algorithm.clip_high:g}"
    dual = f", dual clip {algorithm.dual_clip:g}" if algorithm.dual_clip else ""
    kl = f"weight {algorithm.beta:g} of the KL to the {algorithm.reference}" if algorithm.beta else "no KL term"
    entropy = f", entropy bonus {algorithm.entropy:g}" if algorithm.entropy else ""
    dynamic = ", dynamic sampling" if algorithm.dynamic_sampling else ""
    return (
        f"They were trained by {course(run)}, on {listed(run.trained)}, with {bounds}{dual}, {kl}{entropy}{dynamic}; "
        f"completions were sampled at temperature {rollout.temperature:g}, top-p {rollout.top_p:g}, with at most "
        f"{rollout.max_completion_tokens} tokens, by {rollout.engine}"
    )


def digests(runs: Sequence[Run]) -> str:
    """What the training rows of each seed can be recognized by."""
    found: dict[str, list[int]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        if digest := run.manifest.data.partition(" ")[0]:
            found.setdefault(digest[:12], []).append(run.seed)
    said = (f"{digest} (seed {listed(seeds)})" for digest, seeds in found.items())
    return f"The training rows have SHA-256 {listed(said)}." if found else ""


def learning_rates(evidence: Evidence) -> str:
    """Which were run, and by which rule."""
    rates = sorted({run.lr for run in evidence.runs})
    return f"Learning rates were {listed(map(rate, rates))}, {rates_given(evidence.rule)}."


def seeds(runs: Sequence[Run]) -> str:
    """1 seed (0)."""
    found = sorted({run.seed for run in runs})
    return f"{counted(len(found), 'seed')} ({listed(found)})"


def measured(evidence: Evidence) -> list[str]:
    """The questions and how they were answered."""
    runs = [run for run in evidence.runs if run.scores]
    if not runs:
        return []
    questions = {name: one.after.questions for run in runs for name, one in run.scores.items()}
    asked = listed(f"{count:,} of {name}" for name, count in questions.items())
    return [f"Before and after training the models answered the same held-out questions ({asked}): "
            f"{each(runs, answered)}."]  # fmt: skip


def the_rest(evidence: Evidence) -> str:
    """Every setting that no sentence has words for, by its key."""
    labels = {name: series.label for name, series in evidence.series.items()}
    found = no_defaults(evidence.runs, labels)
    if not found:
        return "All other settings were Stiefel's defaults."
    return f"All other settings were Stiefel's defaults, but for {'; '.join(found)}."


def statistics(found: Ranking) -> str:
    """How the report decides."""
    return (
        f"Methods are compared by {found.measure.name}, each at {found.at}, intervals at 95%, paired by seed and "
        "question: Student's t over seeds and over questions, the larger p of the two, corrected by Holm's method "
        "for all pairs."
    )


def made_with(runs: Sequence[Run]) -> str:
    """Versions and machines, as far as the runs recorded them."""
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in run.manifest.versions.items()) for run in runs
    )
    machines = dict.fromkeys(", ".join(run.manifest.hardware.values()) for run in runs if run.manifest.hardware)
    return f"Software: {'; or '.join(versions)}." + (f" Hardware: {'; or '.join(machines)}." if machines else "")
