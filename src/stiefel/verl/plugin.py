"""Imported by verl in each of its processes: actor_rollout_ref.model.external_lib=stiefel.verl.plugin.

It registers an engine in the place of verl's FSDP engine for this machine's devices, through verl's own registry, where
an entry for a vendor stands before one for a kind of device. Nothing of verl is patched.
"""

from __future__ import annotations

from ..errors import UserError
from .installed import in_words, verl_version, was_tried


def register() -> None:
    """Let verl build our engine; raises UserError for a verl with which it was not tried."""
    if not was_tried(verl_version()):
        raise UserError(
            f"verl {verl_version()} with stiefel.verl.plugin",
            "what it overrides of verl's engine changes with every release",
            f"verl {in_words()}",
        )
    from verl.utils.device import get_device_name, get_vendor
    from verl.workers.engine import EngineRegistry

    from .engine import StiefelEngine

    EngineRegistry.register(
        model_type="language_model", backend=["fsdp", "fsdp2"], device=get_device_name(), vendor=get_vendor()
    )(StiefelEngine)


register()
