"""What the study says in three sentences, from the kept results: a block of README.md."""

from __future__ import annotations

from typing import Any

from benchmarks.study.figures import LOST
from scripts.results import apart

Found = dict[str, Any]


def study_sentences(found: Found) -> str:
    """What a step explains, what is left of the methods at one step, and what of the papers' claims is seen."""
    return f"1. {of_the_step(found)}\n2. {at_one_step(found)}\n3. {of_the_papers(found)}\n"


def of_the_step(found: Found) -> str:
    """How much of the reward the step explains, and which step is best."""
    ten = found["explained"]["ten"]
    best, near, below = ten["best"], ten["plateau"], ten["up_to"]
    return (
        f"On nano ({ten['runs']} runs: {len(found['nano']['methods'])} methods, each at rates around that whose first "
        f"update costs 1e-3 nats a token, {seeds(found['nano']['methods'])} seeds) the size of a run's first steps "
        f"explains {ten['by_step']:.0%} of the variance of what runs reach and the method {ten['by_method']:.0%}; "
        f"without steps above {best['to']:.0e}, where runs break, {below['by_step']:.0%} and "
        f"{below['by_method']:.0%}; from {best['from']:.0e} to there (nats a token, the median of ten rollouts), where "
        f"the fitted mean lies within {best['within']:g} of its highest, {near['by_step']:.0%} and "
        f"{near['by_method']:.0%}, of rewards that spread by {near['spread']:.3f} (standard deviation)."
    )


def at_one_step(found: Found) -> str:
    """The methods at their best rates and under one cap, on both models, each corrected for how many there are."""
    pooled = found["nano"]["pooled"]["decided"].values()
    better, worse = (sum(sign * mean > 0 for mean in pooled) for sign in (1, -1))
    rates = {model: best(found[model]["methods"]) for model in MODELS}
    counts = {model: len(one) for model, one in rates.items()}
    held = {model: best(found[model]["capped"]) for model in MODELS}
    return (
        f"Of {counts['nano']} methods on nano, each at its own best rate, {known(found['nano']['at_best'])}; by the "
        f"spread of all methods together {better or 'none'} would be better and {worse or 'none'} worse"
        f"{again(found['nano']['further'])}. On SmolLM2-135M {counts['smollm2']}, each at the rate that one seed "
        f"chose, {between(rates['smollm2'])} over {seeds(found['smollm2']['methods'])} seeds, and "
        f"{known(found['smollm2']['at_best'])}. Where the two updates of every rollout are together held to a KL of "
        f"1e-3, {len(held['nano'])} methods on nano {between(held['nano'])}, and {known(found['nano']['capped'])}, "
        f"though {lost(found['nano']['lost'])}; {len(held['smollm2'])} on SmolLM2-135M {between(held['smollm2'])}, "
        f"and {known(found['smollm2']['capped'])}."
    )


def lost(methods: Found) -> str:
    """Whose runs forgot most often, beside LoRA's."""
    worst = max(methods, key=lambda method: methods[method]["lost"] / methods[method]["runs"])
    said = [f"{methods[one]['lost']} of {methods[one]['runs']} runs of `{one}`" for one in (worst, "lora")]
    return f"{said[0]} lost {LOST:g} of a skill that was not trained, {said[1]}"


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
        return "none is known to differ from `lora` in reward"
    return f"{better or 'none'} is known to be better than `lora`; known to be worse: {worse or 'none'}"


def again(methods: Found) -> str:
    """What further seeds say by themselves of the methods that have them."""
    if not methods:
        return ""
    better, worse = (named(one) for one in apart(methods))
    count = max(one["seeds"] for one in methods.values())
    return f"; by {count} further seeds of {len(methods)} alone, better: {better or 'none'}, worse: {worse or 'none'}"


def named(methods: dict[str, float]) -> str:
    """`geora` (-0.051)."""
    return " and ".join(f"`{name}` ({mean:+.3f})" for name, mean in sorted(methods.items(), key=lambda item: item[1]))


def of_the_papers(found: Found) -> str:
    """How many claims are seen, and which."""
    verdicts = [one["verdict"] for one in found["claims"]]
    against = sum(one["verdict"] == "not seen here" and one["against"] for one in found["claims"])
    return (
        f"Of {len(verdicts)} claims of three papers (RLPO, GeoRA and the study of twelve methods) about training "
        f"{verdicts.count('seen here')} are seen here{seen(found)}, {against} come out the other way, "
        f"{verdicts.count('not seen here') - against} are smaller than would matter, and "
        f"{verdicts.count('not decidable here')} cannot be decided by these runs{on_smollm2(found)}; no run here is of "
        "a large model, so that none of this refutes a paper there ([docs/laboratory.md](docs/laboratory.md))."
    )


def seen(found: Found) -> str:
    """Which claims are."""
    said = [one["says"] for one in found["claims"] if one["verdict"] == "seen here"]
    return f" ({'; '.join(said)})" if said else ""


def on_smollm2(found: Found) -> str:
    """How many claims the second model was asked, and how many it decides."""
    asked = [one["smollm2"] for one in found["claims"] if one["smollm2"]["p"] is not None]
    decided = sum(one["low"] > 0 or one["high"] < 0 for one in asked)
    return f", nearly all of nano: SmolLM2-135M was asked {len(asked)} and decides {decided or 'none'}"


def seeds(methods: Found) -> str:
    """How many there are of each method."""
    counts = {one["best"]["seeds"] for one in methods.values()}
    return f"{max(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
