"""A certificate's starts drawn again from the base, and held against those in the files."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import UserError
from ..methods import compose
from ..model import fingerprint
from ..spectrum import one_thread
from .certificate import Certificate, LayerCertificate
from .start import layer_of, make_settings

CLOSE = 1e-4  # of the largest entry: float32 sums in another order, on another machine


class Redrawn:
    """The method that a certificate names, called again with the certificate's settings."""

    def __init__(self, certificate: Certificate, method: str) -> None:
        composition = compose(method)
        if composition.name != certificate.method:
            raise UserError(
                f"--method {method} is not the method of this adapter",
                f"its certificate says {certificate.method}",
                f"--method {certificate.method}",
            )
        if composition.start is None or composition.start.factors is None:
            raise UserError(
                f"{method} has no factors that could be drawn again", "PEFT or the base sets its start", "no --method"
            )
        self._factors = composition.start.factors
        self._settings = make_settings(
            composition, certificate.rank, certificate.alpha, certificate.seed, "auto", certificate.options, cache=False
        )
        self.drawn = self.trained = 0

    def differences(self, layer: LayerCertificate, W: Tensor, start: tuple[Tensor, Tensor] | None) -> Iterator[str]:
        """What of a layer's saved start (A₀, B₀) is not what the method draws."""
        form = certified_form(W, layer.fingerprint)
        if start is None or form is None:  # no longer in the files, or another base, which is said elsewhere
            self.trained += start is None
            return
        self.drawn += 1
        with one_thread():
            found = self._factors(layer_of(layer.name, form, self._settings))
        for side, drawn, saved in (("A₀", found.A, start[0]), ("B₀", found.B, start[1])):
            drawn = drawn.to("cpu", torch.float32)
            if float((drawn - saved).abs().max()) > CLOSE * max(float(drawn.abs().max()), float(saved.abs().max())):
                yield f"{side} is not what the method draws"

    def summary(self) -> str:
        """How many starts were drawn."""
        trained = f"; {self.trained} are no longer in the files, after training" if self.trained else ""
        return f"{self.drawn} drawn again by {self._settings.composition.name}{trained}"


def certified_form(weight: Tensor, certified: str) -> Tensor | None:
    """A stored weight in the type in which it has the fingerprint: its own, or the one that it was loaded in."""
    for dtype in (weight.dtype, torch.bfloat16, torch.float16):
        form = weight.to(dtype)
        if fingerprint(form) == certified:
            return form
    return None
