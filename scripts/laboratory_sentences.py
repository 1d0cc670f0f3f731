"""What the study says in three sentences, from the kept results: a block of README.md."""

from __future__ import annotations

from typing import Any

Found = dict[str, Any]


def study_sentences(found: Found) -> str:
    """What a step explains, what is left of the methods at one step, and what of the papers' claims is seen."""
    return f"1. {of_the_step(found)}\n2. {at_one_step(found)}\n3. {of_the_papers(found)}\n"


def of_the_step(found: Found) -> str:
    """How much of the reward the step explains, and which step is best."""
    ten = found["explained"]["ten"]
    best = ten["best"]
    return (
        f"On nano ({ten['runs']} runs: {len(found['nano']['methods'])} methods, each at three rates of its own, "
        f"{seeds(found['nano']['methods'])} seeds) the size of a run's first steps explains {ten['by_step']:.0%} of "
        f"what runs reach, which method it is {ten['by_method']:.0%}, both {ten['by_both']:.0%}; they reach most where "
        f"an update costs {best['from']:.0e} to {best['to']:.0e} nats a token (a rollout has two)."
    )


def at_one_step(found: Found) -> str:
    """The methods under one cap, on both models."""
    said = [f"on {name} {spread(found[model]['capped'])}" for model, name in MODELS if found[model]["capped"]]
    return f"With every rollout held to a KL of 1e-3, {'; '.join(said)}."


MODELS = (("nano", "nano"), ("smollm2", "SmolLM2-135M"))


def spread(capped: Found) -> str:
    """From the worst to the best of some methods, and which of them are decided to be apart from LoRA."""
    rewards = {method: one["mean"] for method, one in capped.items()}
    low, high = min(rewards, key=rewards.__getitem__), max(rewards, key=rewards.__getitem__)
    count = {one["seeds"] for one in capped.values()}
    apart = [
        f"`{method}` ({over['mean']:+.3f} over `lora`)"
        for method, one in capped.items()
        if (over := one.get("over_lora")) and over["p"] is not None and over["p"] < 0.05
    ]
    if max(count) < 2:
        decided = "one seed each, which decides nothing"
    else:
        said = f"these differ: {', '.join(apart)}" if apart else "none is known to differ from `lora`"
        decided = f"after correction for the number of comparisons {said}"
    between = f"between {rewards[low]:.3f} (`{low}`) and {rewards[high]:.3f} (`{high}`)"
    return f"{len(rewards)} methods end {between}; {decided}"


def of_the_papers(found: Found) -> str:
    """How many claims are seen."""
    verdicts = [one["verdict"] for one in found["claims"]]
    return (
        f"Of {len(verdicts)} claims of three papers about training {verdicts.count('seen here')} are seen here, "
        f"{verdicts.count('not seen here')} are not, {verdicts.count('not decidable here')} cannot be decided by these "
        "runs; nothing of this is about large models ([docs/laboratory.md](docs/laboratory.md))."
    )


def seeds(methods: Found) -> str:
    """How many there are of each method."""
    counts = {one["best"]["seeds"] for one in methods.values()}
    return f"{max(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
