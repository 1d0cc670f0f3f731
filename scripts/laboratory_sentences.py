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
        f"On nano ({ten['runs']} runs: {len(found['nano']['methods'])} methods, each at rates around one first step, "
        f"{seeds(found['nano']['methods'])} seeds) the size of a run's first steps explains {ten['by_step']:.0%} of "
        f"the variance of what runs reach, much of it that too large a one breaks a run; where an update costs "
        f"{best['from']:.0e} to {best['to']:.0e} nats a token (the median of ten rollouts) the fitted mean "
        f"lies within {best['within']:g} of its highest, and among the {near['runs']} runs there the method explains "
        f"{near['by_method']:.0%} of the variance and the step {near['by_step']:.0%}, at a standard deviation of "
        f"{near['spread']:.3f}."
    )


def at_one_step(found: Found) -> str:
    """The methods at their best rates and under one cap, on both models."""
    said = [f"on {name} {spread(found[model]['capped'])}" for model, name in MODELS if found[model]["capped"]]
    decided = [f"`{method}`" for method, one in found["nano"]["at_best"].items() if method != "lora" and differs(one)]
    known = f"{', '.join(decided)} are" if decided else "none is"
    pooled = found["nano"]["pooled"]["decided"].values()
    better, worse = (sum(sign * mean > 0 for mean in pooled) for sign in (1, -1))
    ends = sorted((one["best"]["mean"], method) for method, one in found["smollm2"]["methods"].items())
    (low, last), (high, first) = ends[0], ends[-1]
    return (
        f"Of {len(found['nano']['at_best'])} methods on nano, each at its own best rate, {known} known to be better or "
        f"worse than `lora` (if seeds spread alike in all, {better or 'none'} would be better and {worse or 'none'} "
        f"worse); {len(ends)} on SmolLM2-135M end between {low:.3f} (`{last}`) and {high:.3f} (`{first}`), of "
        f"{seeds(found['smollm2']['methods'])} seeds, undecided. With every "
        f"rollout, of two updates, held to a KL of 1e-3, {'; '.join(said)}."
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
    against = sum(one["verdict"] == "not seen here" and one["against"] for one in found["claims"])
    return (
        f"Of {len(verdicts)} claims of three papers (RLPO, GeoRA and the study of twelve methods) about training "
        f"{verdicts.count('seen here')} are seen here{where(found)}, {against} come out the other way, "
        f"{verdicts.count('not seen here') - against} are smaller here than would matter, and "
        f"{verdicts.count('not decidable here')} cannot be decided by these runs; nothing of this is about large "
        "models ([docs/laboratory.md](docs/laboratory.md))."
    )


def where(found: Found) -> str:
    """On which model those are seen."""
    seen = [one for one in found["claims"] if one["verdict"] == "seen here"]
    on = {model: sum((one[model]["low"] or 0) > 0 for one in seen) for model, _ in MODELS}
    asked = [one["smollm2"] for one in found["claims"] if one["smollm2"]["p"] is not None]
    decided = sum(one["low"] > 0 or one["high"] < 0 for one in asked)
    return (
        f" ({on['nano']} on nano, {on['smollm2']} on SmolLM2-135M, where {len(asked)} were asked and "
        f"{decided or 'none'} decided)"
    )


def seeds(methods: Found) -> str:
    """How many there are of each method."""
    counts = {one["best"]["seeds"] for one in methods.values()}
    return f"{max(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
