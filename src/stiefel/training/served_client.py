"""TRL's client of a vLLM server, with a seed for every completion, and the server's own words where it refuses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..engine import EngineLost, lost, refused
from .imported_trl import VLLMClient

AT_ONCE = 64  # requests, as many as the client's session keeps connections
WAIT = 0.5  # seconds before the second of six tries, doubled each time; with TRL's 2 they take a minute


class SeededClient(VLLMClient):  # type: ignore[misc]
    """One request a completion: in a request for several vLLM gives each prompt the same seeds, s, s + 1, …"""

    seed_of: Callable[[int], int]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._failure: EngineLost | None = None
        for adapter in self.session.adapters.values():  # or what the server says with a status of 500 would be lost
            adapter.max_retries = adapter.max_retries.new(raise_on_status=False, backoff_factor=WAIT)

    def take_failure(self) -> EngineLost | None:
        """Why the last `generate` gave nothing; it is forgotten."""
        failure, self._failure = self._failure, None
        return failure

    def generate(self, prompts: Any, features: Any = None, n: int = 1, **sampling: Any) -> dict[str, Any]:
        """`written`, or nothing, and the failure kept: TRL hands to every process what this gives, and they wait."""
        from requests.exceptions import RequestException

        try:
            return self.written(prompts, features, n, **sampling)
        except EngineLost as error:
            self._failure = error
        except RequestException as error:
            self._failure = lost(error)
        return {"prompt_ids": [], "completion_ids": [], "logprobs": None, "logprob_token_ids": None}

    def written(self, prompts: Any, features: Any = None, n: int = 1, **sampling: Any) -> dict[str, Any]:
        """As TRL's, prompt by prompt and n of each; images keep TRL's own way. Raises EngineLost, or of requests'."""
        if features is not None:
            found: dict[str, Any] = VLLMClient.generate(self, prompts, features=features, n=n, **sampling)
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

    def _get(self, url: str, **kwargs: Any) -> dict[str, Any]:
        return self._read(self.session.get(url, **kwargs))

    def _post(self, url: str, **kwargs: Any) -> dict[str, Any]:
        return self._read(self.session.post(url, **kwargs))

    def _read(self, answer: Any) -> dict[str, Any]:
        """TRL raises a bare Exception where the status is another than 200."""
        if answer.status_code != 200:
            raise refused(self.base_url, answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found
