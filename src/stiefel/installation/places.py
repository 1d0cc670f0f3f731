"""The hub, the directories in which models, rows and spectra are kept, and that of the pages."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from huggingface_hub import CacheNotFound, constants, scan_cache_dir

from ..artifacts import writable
from ..errors import UserError
from ..shipped import PACKAGE, shipped
from ..spectrum import SpectrumCache
from .finding import Finding

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
PATIENCE = 2.0  # seconds


def hub() -> Finding:
    """Whether it answers; where a variable says that it is not to be asked, it is not."""
    told = [f"{name}={os.environ[name]}" for name in OFFLINE if os.environ.get(name, "0") not in ("", "0")]
    if told:
        return Finding("hub", "absent", f"not asked: {', '.join(told)}", "unset it where models are to be downloaded")
    if answers(constants.ENDPOINT):
        return Finding("hub", "works", "reachable")
    advice = "give models and rows as directories and files, and set HF_HUB_OFFLINE=1, which saves waiting"
    return Finding("hub", "absent", f"no answer within {PATIENCE:g} s", advice)


def answers(address: str) -> bool:
    """Whether something answers there in time; looking up its name has no limit of its own, so that a thread waits."""
    found: list[bool] = []
    asking = threading.Thread(target=ask, args=(address, found), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return found == [True]


def ask(address: str, found: list[bool]) -> None:
    """Put down whether something answers."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=PATIENCE):
            found.append(True)
    except HTTPError:
        found.append(True)  # an answer
    except OSError:
        found.append(False)


def caches() -> list[Finding]:
    """The caches of the hub's files, of the rows that are read from them, and of spectra."""
    spectra = SpectrumCache()
    rows = Path(os.environ.get("HF_DATASETS_CACHE", Path(constants.HF_HOME) / "datasets"))
    return [
        place("models", Path(constants.HF_HUB_CACHE), hub_bytes(), "HF_HOME"),
        place("rows", rows, None, "HF_HOME"),
        place("spectra", spectra.directory, spectra.size_bytes(), "STIEFEL_CACHE"),
    ]


def hub_bytes() -> int:
    """What the hub's cache holds."""
    try:
        return scan_cache_dir().size_on_disk
    except CacheNotFound:
        return 0


def pages() -> Finding:
    """Where the pages lie that messages name: in the package where it came as a wheel, else in the checkout."""
    home = shipped("docs", "index.md")
    if home is None:
        return Finding("docs", "absent", f"neither in {PACKAGE} nor in a checkout around it", "they are part of both")
    return Finding("docs", "works", f"{home}: begin with index.md")


def place(name: str, directory: Path, size: int | None, variable: str) -> Finding:
    """A cache: whether it can be written, what it holds and what room there is."""
    try:
        writable(directory)
    except UserError as error:
        return Finding(f"cache of {name}", "absent", error.what, f"{error.why}: set {variable} to a place that can be")
    existing = next(parent for parent in (directory, *directory.absolute().parents) if parent.exists())
    held = "" if size is None else f"holds {gib(size)}, "
    return Finding(f"cache of {name}", "works", f"{directory}: {held}{gib(shutil.disk_usage(existing).free)} free")


def gib(size: int) -> str:
    """Bytes in words."""
    return f"{size / 2**30:.1f} GiB"
