"""Every figure, in the order in which they are shown."""

from __future__ import annotations

from .ablations import scaling, schedules
from .alignment import aligned_updates, spectral_distribution
from .curves import CURVES
from .drawing import Figure
from .dynamics import kl_of_all, training_dynamics
from .geora import spectra
from .loss import sft_loss
from .ranked import compared, ranked
from .rate_curves import rate_curves
from .scores import frames, learning_rates
from .similarity import subspace_similarity
from .spectrum import singular_values
from .trade_offs import costs, forgetting, frontier, parameters

RLPO = "RLPO paper (arXiv:2606.31813), Fig. {}"

FIGURES = (
    Figure("ranking", "Ranking", "The methods in their order", "", "ranking", ranked),
    Figure("pairs", "Pairs", "Every two methods against each other", "", "pairs", compared),
    Figure("rate-curves", "Rate curves", "Score over the learning rate", "", "rates", rate_curves),
    Figure("kl-reward", "KL and reward", "Reward against the KL that it took", "", "trade-offs", frontier),
    Figure("forgetting", "Forgetting", "What a gain cost on other tasks", "", "trade-offs", forgetting),
    Figure("parameters", "Parameters", "Score against trained parameters", "", "trade-offs", parameters),
    Figure("costs", "Costs", "Time and memory", "", "trade-offs", costs),
    *CURVES,
    Figure("figure-02-dynamics", "Figure 2", "Reward, gradient norm and KL", RLPO.format(2), "training",
           training_dynamics),
    Figure("figure-03-alignment", "Figure 3", "Where in W's spectrum the update lies", RLPO.format(3), "weights",
           aligned_updates),
    Figure("figure-04-schedules", "Figure 4", "Constant and decaying learning rate", RLPO.format(4), "training",
           schedules),
    Figure("figure-05-scaling", "Figure 5", "With and without the singular values' scale", RLPO.format(5), "training",
           scaling),
    Figure("figure-06-kl", "Figure 6", "KL of all methods", RLPO.format(6), "training", kl_of_all),
    Figure("figure-07-similarity", "Figure 7", "Subspace similarity of A while it trains", RLPO.format(7), "weights",
           subspace_similarity),
    Figure("figure-08-frames", "Figure 8", "Frames that know nothing of W", RLPO.format(8), "training", frames),
    Figure("figure-09-spectrum", "Figure 9", "Singular values of the MLP projections", RLPO.format(9), "weights",
           singular_values),
    Figure("figure-10-rates", "Figure 10", "Accuracy over the learning rate", RLPO.format(10), "training",
           learning_rates),
    Figure("figure-11-sft", "Figure 11", "Loss of supervised fine-tuning", RLPO.format(11), "training", sft_loss),
    Figure("geora-spectra", "GeoRA", "What training did to the spectrum",
           "GeoRA (arXiv:2601.09361), NSS, S_Head and spectra", "weights", spectra),
    Figure("twelve-methods", "Twelve methods", "Spectral distribution of the update",
           "the study of twelve PEFT methods (arXiv:2512.23165), spectral figure", "weights", spectral_distribution),
)  # fmt: skip
