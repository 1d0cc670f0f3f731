"""vLLM's generation (`stiefel[vllm]`): one request a completion, each with its own seed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from ..adapter import CONFIG_FILE, export, read_certificate
from ..artifacts import CERTIFICATE, read_json
from ..errors import UserError
from ..model import end_ids, model_files
from ..tasks import Sampling
from .sample import Completion
from .subject import Subject

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's max_lora_rank may be


def require_vllm() -> None:
    """Raise where vLLM is not installed."""
    if find_spec("vllm") is None:
        raise UserError(
            "vLLM is not installed",
            "--engine vllm generates with it",
            "pip install 'stiefel[vllm]' on a machine with a GPU, or leave out --engine",
        )


class VLLMEngine:
    """Completions by vLLM, the adapter as a LoRA beside the model, or merged where it is of another kind.

    longest: tokens of the longest prompt and completion. A completion depends on its own seed and not on what else is
    asked for, up to the rounding of vLLM's batches.
    """

    def __init__(self, subject: Subject, tokenizer: Any, sampling: Sampling, stop: Sequence[str], longest: int) -> None:
        require_vllm()
        from vllm import LLM, SamplingParams
        from vllm.lora.request import LoRARequest

        self.scratch = (
            tempfile.TemporaryDirectory()
        )  # lives as long as the engine, which reads adapters when first used
        model, lora = servable(subject, Path(self.scratch.name))
        self.sampling, self.stop = sampling, stop
        self.ends = set(end_ids(tokenizer, model_ends(model), subject.turn_ends))
        self.parameters = SamplingParams
        self.lora = LoRARequest("adapter", 1, str(lora)) if lora is not None else None
        self.engine = LLM(**engine_settings(subject, model, lora, sampling, longest))

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
        """All prompts at once: vLLM schedules them itself."""
        outputs = self.engine.generate(
            [{"prompt_token_ids": prompt} for prompt in prompts],
            [self.parameters(**request(self.sampling, self.stop, self.ends, seed)) for seed in seeds],
            lora_request=self.lora,
            use_tqdm=False,
        )
        return [
            Completion(output.text, len(output.token_ids), output.finish_reason == "length")
            for output in (each.outputs[0] for each in outputs)
        ]


def request(sampling: Sampling, stop: Sequence[str], ends: set[int], seed: int) -> dict[str, Any]:
    """SamplingParams' arguments for one completion."""
    return {
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": 1.0 if sampling.temperature == 0 else sampling.top_p,
        "top_k": 0 if sampling.temperature == 0 else sampling.top_k,  # 0 keeps all, as here
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
        "dtype": subject.dtype,
        "seed": sampling.seed % 2**32,
        "max_model_len": longest,
        "generation_config": "vllm",
        "trust_remote_code": False,
        "enable_prefix_caching": True,  # a question's samples share its prompt
    }
    if lora is not None:
        rank = int(read_json(lora / CONFIG_FILE)["r"])
        fits = next((most for most in RANKS if most >= rank), None)
        if fits is None:
            raise UserError(f"{subject.adapter} has rank {rank}", f"vLLM serves ranks up to {RANKS[-1]}", "--engine hf")
        settings |= {"enable_lora": True, "max_lora_rank": fits}
    return settings


def servable(subject: Subject, scratch: Path) -> tuple[Path, Path | None]:
    """(The model's directory, the LoRA's or None) for an engine that serves plain LoRA; checks an adapter's base."""
    model = model_files(subject.model, subject.revision)
    directory = subject.adapter
    if directory is None:
        return model, None
    if not (directory / CERTIFICATE).is_file():
        config = read_json(directory / CONFIG_FILE)
        if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("modules_to_save"):
            raise UserError(
                f"{directory} is not a plain LoRA", "vLLM serves no other adapter beside a model", "--engine hf"
            )
        return model, directory
    form = served_as(directory)
    export(directory, subject.model, form, scratch / form, revision=subject.revision)  # a request names its ends
    return (model, scratch / form) if form == "lora" else (scratch / form, None)


def served_as(directory: Path) -> str:
    """The form in which one of our adapters can be served: lora, or merged where it is no plain LoRA."""
    composition = read_certificate(directory).composition
    return "lora" if composition.start is not None and not composition.has("dora") else "merged"


def model_ends(directory: Path) -> int | list[int] | None:
    """The end tokens that generation_config.json names, or else config.json."""
    place = "generation_config.json"
    if not (directory / place).is_file():
        place = "config.json"
    ends: int | list[int] | None = GenerationConfig.from_dict(read_json(directory / place)).eos_token_id
    return ends
