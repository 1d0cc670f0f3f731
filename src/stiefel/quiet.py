"""Third parties' progress bars and warnings that tell our users nothing they can act on."""

from __future__ import annotations

import os
import warnings

# (message pattern, category, why)
IGNORED = (
    (
        "`is_gradient_checkpointing` is deprecated",
        FutureWarning,
        "PEFT 0.21 asks transformers 5.23 by the old name",
    ),
    (
        "`gradient_checkpointing_(enable|disable)` is deprecated",
        FutureWarning,
        "TRL 1.16 asks transformers 5.23 by the old names around generation",
    ),
    (
        "`broadcast_buffers` is deprecated",
        FutureWarning,
        "transformers 5.23 has no other setting for DDP's buffers",
    ),
)


def quiet() -> None:
    """Silence them in this process."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for message, category, _ in IGNORED:
        warnings.filterwarnings("ignore", message, category)
