"""vLLM in this process: what its platform needs set, and what it changes of the process put back."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError

# unless the user's environment says otherwise
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # or requests meet in batches as their messages arrive, and rounding differs
    "VLLM_NO_USAGE_STATS": "1",  # nobody asked to report anything to anyone
}
LEVEL = "VLLM_LOGGING_LEVEL"  # whoever sets it wants to read what vLLM says
QUIET = "ERROR"  # which TRL sets too, where nobody has set anything
CPU_CACHE = 1 << 30  # bytes of keys and values; unset, vLLM takes most of the machine's memory and touches all of it


def start(settings: dict[str, Any], otherwise: str = "--engine hf") -> Any:
    """An `LLM` of vLLM's with these settings and what its platform needs; raises UserError where it does not start.

    otherwise: what the user may take in its place.
    """
    with at_home():
        compile_nothing_on_a_cpu()
        from vllm import LLM

        try:
            return LLM(**platform_settings(), **settings)
        except (ValueError, RuntimeError, NotImplementedError) as error:  # settings, memory, models it does not know
            raise UserError(
                f"vLLM does not start on {settings['model']}",
                cause(error),
                f"mend the cause ({LEVEL}=INFO shows what vLLM says), or use {otherwise}",
            ) from error


def cause(error: Exception) -> str:
    """What an error says: of one of pydantic's every setting with what is wrong of it, of others the first line."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        found = [(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in error.errors()]
        return "; ".join(f"{place}: {words}" if place else words for place, words in found)[:600]
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def add_lora(engine: Any, directory: Path) -> Any:
    """A request for a LoRA that the engine has loaded; raises UserError for what only the engine knows to refuse."""
    from vllm.lora.request import LoRARequest

    wanted = LoRARequest("adapter", 1, str(directory))
    try:
        engine.llm_engine.add_lora(wanted)
    except (ValueError, RuntimeError) as error:  # layers of a kind that it leaves alone in this model
        raise UserError(
            f"vLLM does not serve {directory}",
            str(error).strip()[:300],
            "--engine hf, or stiefel export --as merged and the merged model",
        ) from error
    return wanted


def compile_nothing_on_a_cpu() -> None:
    """Let small functions of vLLM's run as they are; it is to be said before they are imported.

    Half a minute of C++ for a count of larger probabilities, and a compiler that not every machine has.
    """
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        current_platform.simple_compile_backend = "eager"


def platform_settings() -> dict[str, Any]:
    """What `LLM` must be told where vLLM's platform is a CPU; elsewhere nothing. Call it within `at_home`.

    Without eager mode it would compile C++ first. VLLM_CPU_KVCACHE_SPACE, in GiB, goes before the size of the cache.
    """
    from vllm.platforms import current_platform

    return {"enforce_eager": True, "kv_cache_memory_bytes": CPU_CACHE} if current_platform.is_cpu() else {}


@contextmanager
def at_home() -> Iterator[None]:
    """A block in which vLLM is imported and started; what it changes of this process is put back behind it.

    That is the state of three random generators; `torch.set_num_threads`, which the CPU engine replaces by nothing; and
    of the environment LD_PRELOAD, LOCAL_WORLD_SIZE and others that are not vLLM's own, which every child, a grader's
    sandbox among them, would inherit. What is written to stderr meanwhile is shown where the block fails, or where
    VLLM_LOGGING_LEVEL asks for more than errors.
    """
    before, threads = dict(os.environ), torch.set_num_threads
    for name, value in {**ENVIRONMENT, LEVEL: QUIET}.items():
        os.environ.setdefault(name, value)
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(), stderr_kept(shown=before.get(LEVEL, QUIET) != QUIET):
            yield
    finally:
        torch.set_num_threads = threads
        random.setstate(drawn)
        np.random.set_state(drawn_by_numpy)
        for name in [name for name in os.environ if name == LEVEL or not name.startswith("VLLM_")]:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@contextmanager
def stderr_kept(*, shown: bool) -> Iterator[None]:
    """A block whose stderr, that of C++ too, appears only where it raises; with `shown` it appears as it comes."""
    if shown:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
