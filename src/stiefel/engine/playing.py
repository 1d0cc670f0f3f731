"""The two ways to have a vLLM: in this process, or a server; what each does with an adapter that it is sent."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from peft import PeftModel
from torch import Tensor, nn

from ..errors import UserError
from .server import no_adapters, said, start_command

MEMORY = Path("/dev/shm")  # where files are memory, on Linux

AT_ONCE = 64  # requests to a server
LOADING = 600  # seconds that a server may take over an adapter
Write = Callable[[Path], None]  # an adapter's two files into a directory


def base_dtype(model: nn.Module) -> torch.dtype:
    """The type of the frozen weights, in which an engine keeps the base."""
    bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    dtype: torch.dtype = bare.dtype
    return dtype


class EngineLost(UserError):
    """The engine failed while it generated, or while it was sent something."""


def lost(error: BaseException) -> EngineLost:
    """The error of an engine that failed, in words."""
    return EngineLost(
        f"the engine failed in the middle of a rollout: {type(error).__name__}: {str(error).strip()[:400]}",
        "the rollout's completions are lost; what was trained before it is in the last checkpoint",
        "see what ended it, start it again, and go on with --resume",
    )


def refused(url: str, status: int, text: str) -> EngineLost:
    """The error of a server that answers, and not with a completion."""
    return EngineLost(
        f"the vLLM server at {url} refused a request in the middle of a rollout, with status {status}",
        said(text),
        "see whether it was started again since the last rollout, or serves too short a context; go on with --resume",
    )


@dataclass(frozen=True)
class Written:
    """What an engine wrote: its tokens, with the end of sequence where there is one, and whether it was cut off."""

    tokens: list[int]
    truncated: bool


class Engine(ABC):
    """A vLLM that plays the base, or the last adapter that it was sent; completions are drawn by seeds."""

    dtype: torch.dtype
    """In which it keeps what it is sent."""
    failures: tuple[type[BaseException], ...]
    """What it raises where it fails."""

    def __init__(self) -> None:
        self._draw = ""

    def draw_by(self, text: str) -> None:
        """What the seeds of the next completions are made of."""
        self._draw = text

    def seed_of(self, place: int) -> int:
        """Of the completion at that place."""
        digest = hashlib.sha256(f"{self._draw}:{place}".encode()).digest()
        return int.from_bytes(digest[:4], "little") >> 1

    @abstractmethod
    def complete(self, prompts: Sequence[list[int]], requests: Sequence[Mapping[str, Any]]) -> list[Written]:
        """A completion for each prompt, by vLLM's SamplingParams of each; raises EngineLost where the engine fails."""

    @abstractmethod
    def play(self, write: Write) -> None:
        """Take the adapter that `write` writes in place of the one before; nothing is under way meanwhile."""

    @abstractmethod
    def close(self) -> None:
        """Give up the last adapter, and all that was held for this run; an engine that is gone holds nothing."""


class Colocated(Engine):
    """vLLM in this process, as TRL's bridge calls it: with the policy's adapter, and a seed for each completion."""

    def __init__(self, llm: Any, dtype: torch.dtype) -> None:
        from vllm.v1.engine.exceptions import EngineDeadError

        super().__init__()
        self.llm, self.llm_engine, self.dtype = llm, llm.llm_engine, dtype
        self.failures = (RuntimeError, EngineDeadError)
        self.refusals = (*self.failures, ValueError)  # of an adapter that it does not take
        self.adapter: Any = None
        # vLLM's own object, dropped, keeps its memory; at the end of the process that is nobody's
        self._shutdown = weakref.finalize(self, llm.llm_engine.engine_core.shutdown)
        self._shutdown.atexit = False

    def play(self, write: Write) -> None:
        """Through a directory in memory, under the next number; the one before is released first."""
        from vllm.lora.request import LoRARequest

        number = self.adapter.lora_int_id + 1 if self.adapter else 1
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
            write(Path(place))
            request = LoRARequest(f"policy-{number}", number, place)
            try:
                if self.adapter:
                    self.llm_engine.remove_lora(self.adapter.lora_int_id)
                taken = self.llm_engine.add_lora(request)
            except self.refusals as error:
                raise lost(error) from error
            assert taken
        self.adapter = request
        self.reset_prefix_cache()

    def close(self) -> None:
        """With its memory, for the next run of this process."""
        self.adapter = None
        with suppress(*self.failures):
            self._shutdown()

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Every weight in place of the engine's, which is made ready anew: a CPU's are packed, a GPU's may be too."""
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        repack_heads(self.llm_engine.model_executor.driver_worker.model_runner.model)
        self.reset_prefix_cache()

    def generate(self, prompts: list[Any], sampling_params: Any, use_tqdm: bool) -> Any:
        """One request a completion."""
        each = []
        for place in range(len(prompts)):
            one = sampling_params.clone()
            one.seed = self.seed_of(place)
            each.append(one)
        return self.llm.generate(prompts, each, lora_request=self.adapter, use_tqdm=use_tqdm)

    def complete(self, prompts: Sequence[list[int]], requests: Sequence[Mapping[str, Any]]) -> list[Written]:
        """All at once: vLLM makes its own batches."""
        from vllm import SamplingParams

        try:
            outputs = self.llm.generate(
                [{"prompt_token_ids": prompt} for prompt in prompts],
                [SamplingParams(**each) for each in requests],
                lora_request=self.adapter,
                use_tqdm=False,
            )
        except self.failures as error:
            raise lost(error) from error
        self.reset_prefix_cache()  # or the rounding of the next completions would depend on these
        first = [output.outputs[0] for output in outputs]
        return [Written(list(each.token_ids), each.finish_reason == "length") for each in first]

    def reset_prefix_cache(self) -> None:
        """What was computed of prompts by the policy before."""
        self.llm.reset_prefix_cache()

    def wake_up(self, tags: list[str]) -> None:
        """Of TRL's sleep mode."""
        self.llm.wake_up(tags=tags)

    def sleep(self, level: int) -> None:
        """Of TRL's sleep mode."""
        self.llm.sleep(level=level)


def repack_heads(model: nn.Module) -> None:
    """On a CPU vLLM keeps a packed copy of the head, which a reload of the embedding it is tied to leaves behind."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        for module in model.modules():
            if isinstance(module, ParallelLMHead):
                module.quant_method.process_weights_after_loading(module)


class Served(Engine):
    """A vLLM server, through TRL's client: adapters are files in `place`, which the server must be able to read."""

    def __init__(self, client: Any, dtype: torch.dtype, place: Path) -> None:
        from requests.exceptions import RequestException

        super().__init__()
        self.client, self.dtype, self.place = client, dtype, place
        self.failures = (RequestException,)
        self.name, self.number = f"stiefel-{uuid4().hex[:8]}", 0
        self.base: str = client.model
        self.adapter: Path | None = None

    def play(self, write: Write) -> None:
        """Under a new name; the one before is released once the new one is there."""
        self.number += 1
        now, before = self.place.absolute() / f".{self.name}-{self.number}", self.adapter  # swept after a kill
        now.mkdir(parents=True)
        try:
            write(now)
            self._post("load_lora_adapter", {"lora_name": now.name.removeprefix("."), "lora_path": str(now)})
        except BaseException:
            shutil.rmtree(now)
            raise
        self.client.model, self.adapter = now.name.removeprefix("."), now
        if before is not None:
            self._unload(before)

    def close(self) -> None:
        """The adapter and its files; the server is others' too, or may be gone."""
        if self.adapter is not None:
            with suppress(*self.failures, UserError):
                self._unload(self.adapter)
        self.client.model, self.adapter = self.base, None

    def _unload(self, adapter: Path) -> None:
        shutil.rmtree(adapter, ignore_errors=True)
        self._post("unload_lora_adapter", {"lora_name": adapter.name.removeprefix(".")})

    def complete(self, prompts: Sequence[list[int]], requests: Sequence[Mapping[str, Any]]) -> list[Written]:
        """A request each, many under way at once: each has a seed of its own."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._complete, prompts, requests))

    def _complete(self, prompt: list[int], request: Mapping[str, Any]) -> Written:
        data = {"model": self.client.model, "prompt": prompt, "return_token_ids": True, **request}
        try:
            answer = self.client.session.post(f"{self.client.base_url}/v1/completions", json=data)
        except self.failures as error:
            raise lost(error) from error
        if answer.status_code != 200:
            raise refused(self.client.base_url, answer.status_code, answer.text)
        (choice,) = answer.json()["choices"]
        return Written(choice["token_ids"], choice["finish_reason"] == "length")

    def _post(self, call: str, data: dict[str, str]) -> None:
        import requests

        try:
            # not by the client's session, which asks six times where the server says why it cannot
            answer = requests.post(f"{self.client.base_url}/v1/{call}", json=data, timeout=LOADING)
        except self.failures as error:
            raise lost(error) from error
        if answer.status_code == 404 and "error" not in answer.text:  # no such call, and not no such adapter
            raise no_adapters(self.client.base_url, self.base, f"it does not answer to /v1/{call}")
        if answer.status_code != 200:
            raise UserError(
                f"the vLLM server at {self.client.base_url} refused the adapter {data['lora_name']}",
                said(answer.text),
                f"{start_command(self.base)}; it must be able to read {self.place}",
            )
