"""What the study says in three sentences, from the kept results: a block of README.md."""

from __future__ import annotations

from typing import Any

from scripts.results import apart

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
    """The methods at their best rates and under one cap, on both models, each corrected for how many there are."""
    pooled = found["nano"]["pooled"]["decided"].values()
    better, worse = (sum(sign * mean > 0 for mean in pooled) for sign in (1, -1))
    rates = {model: best(found[model]["methods"]) for model in MODELS}
    counts = {model: len(one) for model, one in rates.items()}
    held = {model: best(found[model]["capped"]) for model in MODELS}
    return (
        f"Of {counts['nano']} methods on nano, each at its own best rate, {known(found['nano']['at_best'])} (if seeds "
        f"spread alike in all, {better or 'none'} would be better and {worse or 'none'} worse)"
        f"{again(found['nano']['further'])}; on SmolLM2-135M {counts['smollm2']} {between(rates['smollm2'])}, over "
        f"{seeds(found['smollm2']['methods'])} seeds, and {known(found['smollm2']['at_best'])}. With every rollout, of "
        f"two updates, held to a KL of 1e-3, {len(held['nano'])} on nano {between(held['nano'])}, "
        f"and {known(found['nano']['capped'])}; {len(held['smollm2'])} on SmolLM2-135M {between(held['smollm2'])}, "
        f"and {known(found['smollm2']['capped'])}."
    )


MODELS = {"nano": "nano", "smollm2": "SmolLM2-135M"}


def best(methods: Found) -> dict[str, float]:
    """Each method's mean reward, at its best rate or under the cap."""
    return {method: one.get("best", one)["mean"] for method, one in methods.items()}


def between(rewards: dict[str, float]) -> str:
    """From the worst to the best of some methods."""
    low, high = min(rewards, key=rewards.__getitem__), max(rewards, key=rewards.__getitem__)
    return f"end between {rewards[low]:.3f} (`{low}`) and {rewards[high]:.3f} (`{high}`)"


def known(methods: Found) -> str:
    """Who is decided to be better than LoRA, and who to be worse."""
    better, worse = (named(one) for one in apart(methods))
    if not better and not worse:
        return "none is known to differ from `lora`"
    return f"{better or 'none'} is known to be better than `lora`, and {worse or 'none'} to be worse"


def again(methods: Found) -> str:
    """What further seeds say by themselves of the methods that have them."""
    if not methods:
        return ""
    better, worse = (named(one) for one in apart(methods))
    count = max(one["seeds"] for one in methods.values())
    return f"; by {count} further seeds of {len(methods)} alone {better or 'none'} is better, {worse or 'none'} worse"


def named(methods: dict[str, float]) -> str:
    """`geora` (-0.051)."""
    return " and ".join(f"`{name}` ({mean:+.3f})" for name, mean in sorted(methods.items(), key=lambda item: item[1]))


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
    on = {model: sum((one[model]["low"] or 0) > 0 for one in seen) for model in MODELS}
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
