"""What three papers say of training, each as one difference that is above 0 if it is so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from benchmarks.study.runs import BySeed, Runs, log_kl_base

RLPO, GEORA, TWELVE = "RLPO", "GeoRA", "the study of twelve methods"
REWARD = 0.03  # a difference below what seeds of one run differ by is none
FAR = 0.1  # where a paper says that one falls, or ends far below
RATIO = math.log(1.25)
COMMON = 1e-3  # the rate that most methods of nano have

Ask = Callable[[Runs], tuple[BySeed, BySeed]]


@dataclass(frozen=True)
class Claim:
    """What a paper says, the difference that is asked for, and below what it would be none.

    `beside`: what else differs between the two sides here, so that nothing is decided.
    """

    source: str
    where: str
    says: str
    asked: str
    ask: Ask
    margin: float = REWARD
    beside: str = ""


def mean_of(*each: BySeed) -> BySeed:
    """The mean of several methods, over the seeds that all have."""
    seeds = set.intersection(*(set(one) for one in each))
    return {seed: fmean(one[seed] for one in each) for seed in sorted(seeds)}


@dataclass(frozen=True)
class Best:
    """Rewards, each method at its own best rate; of several methods their mean."""

    first: tuple[str, ...]
    second: tuple[str, ...]

    def __call__(self, runs: Runs) -> tuple[BySeed, BySeed]:
        """Both sides."""
        return mean_of(*map(runs.at_best, self.first)), mean_of(*map(runs.at_best, self.second))

    def bounded(self, runs: Runs) -> tuple[bool, bool]:
        """Of each side whether its best rates lie between others, so that no better one is left untried beyond them."""
        first, second = (all(runs.bounded(method) for method in side) for side in (self.first, self.second))
        return first, second


def best(first: str | tuple[str, ...], second: str | tuple[str, ...]) -> Best:
    """A method, or several, against others."""
    return Best(*((side,) if isinstance(side, str) else side for side in (first, second)))


def at(lr: float, first: str, second: str) -> Ask:
    """Rewards at one rate."""
    return lambda runs: (runs.of(first, lr), runs.of(second, lr))


def logged(lr: float, name: str, first: str, second: str) -> Ask:
    """The logarithm of a logged value's median, at one rate."""
    return lambda runs: (runs.of(first, lr, runs.log_median(name)), runs.of(second, lr, runs.log_median(name)))


def drifted(lr: float, first: str, second: str) -> Ask:
    """The logarithm of the KL to the base at the end, at one rate."""
    return lambda runs: (runs.of(first, lr, log_kl_base), runs.of(second, lr, log_kl_base))


def steadier(first: str, second: str) -> Ask:
    """How far the second's reward spreads over the rates that both have, less the first's."""

    def ask(runs: Runs) -> tuple[BySeed, BySeed]:
        shared = sorted(set(runs.rates(first)) & set(runs.rates(second)))
        return runs.over_rates(second, shared), runs.over_rates(first, shared)

    return ask


def keeps(first: str, second: str) -> Ask:
    """What the second forgets of other skills, less what the first does, each at its own best rate."""
    return lambda runs: (runs.at_best(second, runs.forgotten), runs.at_best(first, runs.forgotten))


def changed(first: str, second: str) -> Ask:
    """LoRA's rewards with one thing changed as here and as there."""
    return lambda runs: (runs.changed("lora", COMMON, first), runs.changed("lora", COMMON, second))


def with_cosine(runs: Runs) -> tuple[BySeed, BySeed]:
    """RLPO's and LoRA's rewards, each at its middle rate, with a cosine schedule."""
    cosine = "optim.schedule='cosine'"
    return runs.changed("rlpo", 3e-4, cosine), runs.changed("lora", COMMON, cosine)


OWN = "reward, each at its own best rate"
RANK_1, RANK_32 = "adapter.rank=1; adapter.alpha=2", "adapter.rank=32; adapter.alpha=64"
CLAIMS = (
    Claim(RLPO, "Table 1", "RLPO ends above LoRA", OWN, best("rlpo", "lora")),
    Claim(RLPO, "Table 1", "RLMO ends above LoRA", OWN, best("rlmo", "lora")),
    Claim(RLPO, "Table 1", "RLPO ends above RLMO", OWN, best("rlpo", "rlmo")),
    Claim(RLPO, "Table 1", "MiLoRA ends below LoRA", OWN, best("lora", "milora")),
    Claim(RLPO, "Table 1", "PiSSA ends below LoRA", OWN, best("lora", "pissa")),
    Claim(
        RLPO,
        "Table 1",
        "PiSSA falls at a rate at which LoRA learns",
        "reward at 1e-3",
        at(COMMON, "lora", "pissa"),
        FAR,
    ),
    Claim(
        RLPO,
        "Fig. 2",
        "PiSSA's gradients are larger than LoRA's",
        "ln of the median norm, at 3e-4",
        logged(3e-4, "grad_norm_max", "pissa", "lora"),
        RATIO,
    ),
    Claim(
        RLPO,
        "Fig. 6",
        "PiSSA drifts further from the base than RLPO",
        "ln of the KL to the base, at 3e-4",
        drifted(3e-4, "pissa", "rlpo"),
        RATIO,
    ),
    Claim(
        RLPO,
        "Fig. 6",
        "MiLoRA drifts further from the base than RLMO",
        "ln of the KL to the base, at 3e-4",
        drifted(3e-4, "milora", "rlmo"),
        RATIO,
    ),
    Claim(
        RLPO,
        "Fig. 4",
        "with a cosine schedule too RLPO ends above LoRA",
        "reward, each at its middle rate, which was not chosen for this schedule",
        with_cosine,
    ),
    Claim(RLPO, "Fig. 5", "OLoRA ends above PiSSA", "reward at 3e-4", at(3e-4, "olora", "pissa")),
    Claim(RLPO, "Fig. 5", "OLoRA of the tail ends above MiLoRA", "reward at 3e-4", at(3e-4, "olora_tail", "milora")),
    Claim(
        RLPO,
        "Fig. 8",
        "RLPO and RLMO end above DCT and wavelets",
        "mean reward, each at its own best rate",
        best(("rlpo", "rlmo"), ("dct", "wavelet")),
    ),
    Claim(RLPO, "§6", "orthonormal rows end above Gaussian ones", OWN, best("random_orthonormal", "gaussian")),
    Claim(
        RLPO,
        "Fig. 10",
        "RLPO depends less on the rate than LoRA",
        "spread of the reward over the rates that both have",
        steadier("rlpo", "lora"),
    ),
    Claim(GEORA, "main table", "GeoRA ends above LoRA", OWN, best("geora", "lora")),
    Claim(GEORA, "main table", "GeoRA ends above PiSSA and MiLoRA", "mean " + OWN, best("geora", ("pissa", "milora"))),
    Claim(GEORA, "main table", "GeoRA ends above full fine-tuning", OWN, best("geora", "full")),
    Claim(
        GEORA,
        "out of domain",
        "GeoRA forgets less than full fine-tuning",
        "what other skills lose, each at its own best rate",
        keeps("geora", "full"),
    ),
    Claim(
        GEORA,
        "ablation",
        "the leading triplets are better than random or trailing ones",
        "mean " + OWN,
        best("geora", ("geora_random", "geora_tail")),
    ),
    Claim(
        GEORA,
        "ablation",
        "both masks are better than one",
        "mean " + OWN,
        best("geora", ("geora_spectral", "geora_euclidean")),
    ),
    Claim(
        GEORA,
        "learning rates",
        "GeoRA depends less on the rate than LoRA",
        "spread of the reward over the rates that both have",
        steadier("geora", "lora"),
    ),
    Claim(
        TWELVE,
        "1.5B",
        "DoRA, AdaLoRA and MiSS end above LoRA",
        "mean " + OWN,
        best(("dora", "adalora", "miss"), "lora"),
    ),
    Claim(TWELVE, "1.5B", "DoRA ends above full fine-tuning", OWN, best("dora", "full")),
    Claim(
        TWELVE,
        "1.5B",
        "MiLoRA falls at a rate at which LoRA learns",
        "reward at 1e-3",
        at(COMMON, "lora", "milora"),
        FAR,
    ),
    Claim(TWELVE, "1.5B", "IA³ ends far below LoRA", OWN, best("lora", "ia3"), FAR),
    Claim(
        TWELVE,
        "1.5B",
        "VeRA and normalisation layers end below LoRA",
        "mean " + OWN,
        best("lora", ("vera", "ln_tuning")),
    ),
    Claim(TWELVE, "7B", "LoRA+ ends above LoRA", OWN, best("lora_plus", "lora")),
    Claim(TWELVE, "ranks", "rank 1 is far below", "LoRA's reward at 1e-3, rank 8 less 1", changed("", RANK_1), FAR),
    Claim(TWELVE, "ranks", "more rank is better", "LoRA's reward at 1e-3, rank 32 less 8", changed(RANK_32, "")),
    Claim(
        TWELVE,
        "batch",
        "a small batch is slightly better",
        "LoRA's reward at 1e-3, 4 prompts less 16, at the same number of rollouts",
        changed("rollout.prompts=4", "rollout.prompts=16"),
        beside="the side of 4 prompts has a quarter of the completions",
    ),
)
