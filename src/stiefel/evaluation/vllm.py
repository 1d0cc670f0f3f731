"""vLLM's generation (`stiefel[vllm]`): one request a completion, each with its own seed."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..adapter import CONFIG_FILE
from ..artifacts import read_json
from ..engine import add_lora, own_dtype, rank_served, require_vllm, servable, start
from ..model import end_ids, model_ends, model_files
from ..tasks import Sampling
from .ending import read_completion
from .sample import Completion
from .subject import Subject

ASKED, OTHERWISE = "--engine vllm", "leave out --engine"


class VLLMEngine:
    """Completions by vLLM, the adapter as a LoRA beside the model; raises UserError for one of another kind.

    longest: tokens of the longest prompt and completion. A completion depends on its own seed and not on what else is
    asked for, up to the rounding of vLLM's batches; given the same prompts and seeds, a call gives the same again.
    """

    def __init__(self, subject: Subject, tokenizer: Any, sampling: Sampling, stop: Sequence[str], longest: int) -> None:
        require_vllm(ASKED, OTHERWISE)
        model = model_files(subject.model, subject.revision)
        self.tokenizer, self.sampling, self.stop = tokenizer, sampling, list(stop)
        self.ends = set(end_ids(tokenizer, model_ends(model), subject.turn_ends))
        with tempfile.TemporaryDirectory() as scratch:  # the engine keeps what it has loaded
            lora = lora_of(subject, model, Path(scratch))
            self.engine = start(engine_settings(subject, model, lora, sampling, longest))
            self.lora = add_lora(self.engine, lora) if lora is not None else None
        # vLLM's own object, dropped, keeps its memory; at the end of the process that is nobody's
        weakref.finalize(self, self.engine.llm_engine.engine_core.shutdown).atexit = False

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
        """All prompts at once: vLLM schedules them itself."""
        from vllm import SamplingParams

        outputs = self.engine.generate(
            [{"prompt_token_ids": prompt} for prompt in prompts],
            [SamplingParams(**request(self.sampling, self.stop, self.ends, seed)) for seed in seeds],
            lora_request=self.lora,
            use_tqdm=False,
        )
        self.engine.reset_prefix_cache()  # or the next call's rounding would depend on this one, and resumption show
        return [self.read(each.outputs[0]) for each in outputs]

    def read(self, output: Any) -> Completion:
        """The tokens as every engine's are read; vLLM's own text is written piece by piece, and its spaces differ."""
        tokens = list(output.token_ids)
        return read_completion(self.tokenizer, tokens, self.ends, self.stop, truncated=output.finish_reason == "length")


def lora_of(subject: Subject, model: Path, scratch: Path) -> Path | None:
    """The directory of the LoRA that stands for the subject's adapter, if it has one; checks its base."""
    if subject.adapter is None:
        return None
    return servable(subject.adapter, subject.model, subject.revision, model, scratch)


def request(sampling: Sampling, stop: Sequence[str], ends: set[int], seed: int) -> dict[str, Any]:
    """SamplingParams' arguments for one completion."""
    return {
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": 1.0 if sampling.temperature == 0 else sampling.top_p,
        "top_k": 0 if sampling.temperature == 0 else sampling.top_k,  # 0 keeps all, as here
        "min_p": 0.0,
        "repetition_penalty": 1.0,  # a server would take the model's own advice
        "max_tokens": sampling.max_tokens,
        "seed": seed,
        "stop": list(stop),
        "stop_token_ids": sorted(ends),
        "include_stop_str_in_output": False,
        "skip_special_tokens": True,
    }


def engine_settings(
    subject: Subject, model: Path, lora: Path | None, sampling: Sampling, longest: int
) -> dict[str, Any]:
    """LLM's arguments; the model's own sampling advice (generation_config.json) is left aside."""
    settings: dict[str, Any] = {
        "model": str(model),
        "dtype": own_dtype(model) if subject.dtype == "auto" else subject.dtype,  # vLLM's "auto" rounds float32
        "seed": sampling.seed % 2**32,
        "max_model_len": longest,
        "generation_config": "vllm",
        "trust_remote_code": False,
        "enable_prefix_caching": True,  # a question's samples share its prompt
    }
    if lora is not None:
        rank = int(read_json(lora / CONFIG_FILE)["r"])
        settings |= {"enable_lora": True, "max_lora_rank": rank_served(rank)}
    return settings
