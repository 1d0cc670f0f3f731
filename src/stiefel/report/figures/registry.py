"""Every figure, in the order in which they are shown."""

from __future__ import annotations

from .ablations import scaling, schedules
from .alignment import aligned_updates, spectral_distribution
from .curves import CURVES
from .drawing import Draw, Figure, Section
from .dynamics import kl_of_all, training_dynamics
from .geora import spectra
from .loss import sft_loss
from .ranked import compared, ranked
from .rate_curves import rate_curves
from .scores import frames, learning_rates
from .similarity import subspace_similarity
from .spectrum import singular_values
from .trade_offs import costs, forgetting, frontier, parameters


def rlpo(number: int, name: str, heading: str, section: Section, draw: Draw) -> Figure:
    """One of the RLPO paper's figures; its number never stands without the paper's name."""
    source = f"RLPO paper (arXiv:2606.31813), Fig. {number}"
    return Figure(f"figure-{number:02}-{name}", f"RLPO paper, Fig. {number}", heading, source, section, draw)


FIGURES = (
    Figure("ranking", "Ranking", "The methods in their order", "", "ranking", ranked),
    Figure("pairs", "Pairs", "Every two methods against each other", "", "pairs", compared),
    Figure("rate-curves", "Rate curves", "Score over the learning rate", "", "rates", rate_curves),
    Figure("kl-reward", "KL and reward", "Reward against the KL to the base", "", "trade-offs", frontier),
    Figure("forgetting", "Forgetting", "What a gain cost on other tasks", "", "trade-offs", forgetting),
    Figure("parameters", "Parameters", "Score against trained parameters", "", "trade-offs", parameters),
    Figure("costs", "Costs", "Time and memory", "", "trade-offs", costs),
    *CURVES,
    rlpo(2, "dynamics", "Reward, gradient norm and KL", "training", training_dynamics),
    rlpo(3, "alignment", "Where in W's spectrum the update lies", "weights", aligned_updates),
    rlpo(4, "schedules", "Constant and decaying learning rate", "training", schedules),
    rlpo(5, "scaling", "With and without the singular values' scale", "training", scaling),
    rlpo(6, "kl", "KL of all methods", "training", kl_of_all),
    rlpo(7, "similarity", "Subspace similarity of A while it trains", "weights", subspace_similarity),
    rlpo(8, "frames", "Frames that know nothing of W", "training", frames),
    rlpo(9, "spectrum", "Singular values of the MLP projections", "weights", singular_values),
    rlpo(10, "rates", "Accuracy over the learning rate", "training", learning_rates),
    rlpo(11, "sft", "Loss of supervised fine-tuning", "training", sft_loss),
    Figure("geora-spectra", "GeoRA paper, spectra", "What training did to the spectrum",
           "GeoRA (arXiv:2601.09361), NSS, S_Head and spectra", "weights", spectra),
    Figure("twelve-methods", "Study of twelve methods", "Spectral distribution of the update",
           "the study of twelve PEFT methods (arXiv:2512.23165), spectral figure", "weights", spectral_distribution),
)  # fmt: skip
