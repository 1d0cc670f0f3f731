"""TRL's client of a vLLM server, with a seed for every completion."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .imported_trl import VLLMClient

AT_ONCE = 64  # requests, as many as the client's session keeps connections


class SeededClient(VLLMClient):  # type: ignore[misc]
    """One request a completion: in a request for several vLLM gives each prompt the same seeds, s, s + 1, …"""

    seed_of: Callable[[int], int]

    def generate(self, prompts: Any, features: Any = None, n: int = 1, **sampling: Any) -> dict[str, Any]:
        """As TRL's, prompt by prompt and n of each; images keep TRL's own way."""
        if features is not None:
            found: dict[str, Any] = super().generate(prompts, features=features, n=n, **sampling)
            return found
        asked = sampling.pop("generation_kwargs", None) or {}

        def one(place: int) -> dict[str, Any]:
            seeded = {**asked, "seed": self.seed_of(place)}
            answer: dict[str, Any] = VLLMClient.generate(
                self, [prompts[place // n]], n=1, generation_kwargs=seeded, **sampling
            )
            return answer

        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(one, range(len(prompts) * n)))
        return {
            "prompt_ids": [answer["prompt_ids"][0] for answer in answers[::n]],
            **{
                key: [answer[key][0] for answer in answers]
                for key in ("completion_ids", "logprobs", "logprob_token_ids")
            },
        }
