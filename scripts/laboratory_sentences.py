"""What the study says in three sentences, from the kept results: a block of README.md."""

from __future__ import annotations

from typing import Any

from scripts.results import differs

Found = dict[str, Any]


def study_sentences(found: Found) -> str:
    """What a step explains, what is left of the methods at one step, and what of the papers' claims is seen."""
    return f"1. {of_the_step(found)}\n2. {at_one_step(found)}\n3. {of_the_papers(found)}\n"


def of_the_step(found: Found) -> str:
    """How much of the reward the step explains, and which step is best."""
    ten = found["explained"]["ten"]
    best, near = ten["best"], ten["plateau"]
    return (
        f"On nano ({ten['runs']} runs: {len(found['nano']['methods'])} methods, each at rates of its own from too "
        f"small to too large, {seeds(found['nano']['methods'])} seeds) the size of a run's first steps explains "
        f"{ten['by_step']:.0%} of the variance of what runs reach, which method it is {ten['by_method']:.0%}; where "
        f"an update costs {best['from']:.0e} to {best['to']:.0e} nats a token they reach most, and among the "
        f"{near['runs']} runs there the method explains {near['by_method']:.0%} of a spread of {near['spread']:.3f}."
    )


def at_one_step(found: Found) -> str:
    """The methods under one cap, on both models."""
    said = [f"on {name} {spread(found[model]['capped'])}" for model, name in MODELS if found[model]["capped"]]
    decided = found["nano"]["pooled"]["decided"]
    better, worse = ([method for method, mean in decided.items() if sign * mean > 0] for sign in (1, -1))
    known = f"{', '.join(better)} are" if better else "none is"
    return (
        f"Of {len(found['nano']['at_best'])} methods, each at its own best rate, {known} known to be better than "
        f"`lora`, and if seeds spread alike in all of them {len(worse)} are worse; with every rollout held to a KL of "
        f"1e-3, {'; '.join(said)}."
    )


MODELS = (("nano", "nano"), ("smollm2", "SmolLM2-135M"))


def spread(capped: Found) -> str:
    """From the worst to the best of some methods, and which of them are decided to be apart from LoRA."""
    rewards = {method: one["mean"] for method, one in capped.items()}
    low, high = min(rewards, key=rewards.__getitem__), max(rewards, key=rewards.__getitem__)
    count = {one["seeds"] for one in capped.values()}
    apart = [
        f"`{method}` ({over['mean']:+.3f} over `lora`)"
        for method, one in capped.items()
        if (over := one.get("over_lora")) and differs(one)
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
        f"{verdicts.count('not seen here')} are not, {verdicts.count('not decidable here')} cannot be decided by "
        "these runs; nothing of this is about large models ([docs/laboratory.md](docs/laboratory.md))."
    )


def seeds(methods: Found) -> str:
    """How many there are of each method."""
    counts = {one["best"]["seeds"] for one in methods.values()}
    return f"{max(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
