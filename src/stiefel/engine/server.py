"""A vLLM server as it tells of itself: whether it is there, what it serves, for how many tokens, in which type."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError

INTERVAL, ANSWER = 2.0, 60.0  # seconds between two tries to reach it, and that it may take over an answer
MAKES = "processed_logprobs"  # the mode in which its log-probabilities are those of what it samples


@dataclass(frozen=True)
class Server:
    """What it said when it was asked."""

    url: str
    model: str  # by which its base is asked
    root: str  # from where it has the weights
    longest: int | None  # tokens of a prompt and its completion
    dtype: torch.dtype | None  # None where it does not tell, which it does with VLLM_SERVER_DEV_MODE=1
    logprobs_mode: str = ""  # likewise, or empty
    largest_rank: int | None = None  # of the adapters that it takes, likewise; 0 where it takes none

    @property
    def name(self) -> str:
        """Its weights in words, with the name that they are served by where it is another."""
        return self.root if self.root == self.model else f"{self.root} as {self.model}"

    def serves(self, name: str) -> bool:
        """Whether it was started on `name`: the same words, the same directory, or the hub's id of a directory."""
        return any(is_same(theirs, name) for theirs in {self.root, self.model})

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """The one choice that it gives to a request; raises UserError with its own words where it refuses."""
        import requests

        data = {"model": self.model, **body}
        try:
            answer = requests.post(f"{self.url}/v1/completions", json=data, timeout=10 * ANSWER)
        except requests.RequestException as error:
            raise not_there(self.url, self.root, 0) from error
        if answer.status_code != 200:
            raise UserError(
                f"the vLLM server at {self.url} does not complete a prompt of this run",
                said(answer.text),
                f"serve the model that is trained: {start_command('MODEL')}",
            )
        (choice,) = answer.json()["choices"]
        found: dict[str, Any] = choice
        return found


def is_same(theirs: str, ours: str) -> bool:
    """Whether two names are of one model, as far as names tell."""
    if theirs == ours:
        return True
    if Path(theirs).is_dir() and Path(ours).is_dir():
        return Path(theirs).samefile(ours)
    kept = f"models--{theirs.replace('/', '--')}"  # how the hub's cache names it
    return kept in Path(ours).parts


def find_server(url: str, base: str, seconds: float, say: Callable[[str], None] = lambda line: None) -> Server:
    """The server at an address, once it answers within so many seconds; raises UserError where none does.

    base: what is to be trained, for the advice. `say` is told where it is waited for.
    """
    import requests

    address, deadline, waits = url.rstrip("/"), time.monotonic() + seconds, False
    while True:
        try:
            answer = requests.get(f"{address}/v1/models", timeout=ANSWER)
            break
        except (requests.ConnectionError, requests.Timeout) as error:
            if time.monotonic() + INTERVAL > deadline:
                raise not_there(address, base, seconds) from error
            if not waits:
                say(f"waiting for a vLLM server at {address}, {seconds:.0f} s at most")
            waits = True
        except requests.RequestException as error:
            raise UserError(
                f"{url} is no address of a server", str(error), "http://HOST:PORT, as rollout.vllm_server"
            ) from error
        time.sleep(INTERVAL)
    cards = models_in(answer)
    if not cards:
        raise UserError(
            f"what answers at {address} is no vLLM server",
            f"asked for its models (/v1/models) it says, with status {answer.status_code}: {said(answer.text)}",
            f"{start_command(base)}; or name another, rollout.vllm_server",
        )
    card = cards[0]
    return Server(address, card["id"], card.get("root") or card["id"], card.get("max_model_len"), *told(address))


def models_in(answer: Any) -> list[dict[str, Any]]:
    """The bases among the models that a server lists."""
    if answer.status_code != 200 or "json" not in answer.headers.get("Content-Type", ""):
        return []
    match answer.json():
        case {"data": [*cards]}:
            return [card for card in cards if isinstance(card, dict) and "id" in card and not card.get("parent")]
    return []


def told(address: str) -> tuple[torch.dtype | None, str, int | None]:
    """(The type of its weights, its mode of log-probabilities, the largest rank of an adapter), where it tells."""
    import requests

    answer = requests.get(f"{address}/server_info", params={"config_format": "json"}, timeout=ANSWER)
    if answer.status_code != 200:
        return None, "", None
    config = answer.json()["vllm_config"]
    model, lora = config["model_config"], config["lora_config"]
    dtype = vars(torch)[str(model["dtype"]).removeprefix("torch.")]
    assert isinstance(dtype, torch.dtype)
    return dtype, str(model["logprobs_mode"]), int(lora["max_lora_rank"]) if lora else 0


def require_adapters(server: Server, rank: int) -> None:
    """Raise where the server takes no adapters while it runs, or, as far as it tells, none of this rank."""
    import requests

    if server.largest_rank is not None and server.largest_rank < rank:
        why = f"this run's have rank {rank}, and it takes {server.largest_rank or 'none'}"
        raise UserError(
            f"the vLLM server at {server.url} has no room for the adapters", why, start_command(server.root)
        )
    # a request that says nothing, which is refused for that where there is such a call
    answer = requests.post(f"{server.url}/v1/load_lora_adapter", json={}, timeout=ANSWER)
    if answer.status_code == 404 and "error" not in answer.text:
        raise no_adapters(server.url, server.root, "it does not answer to /v1/load_lora_adapter")


def no_adapters(url: str, base: str, why: str) -> UserError:
    """The error of a server that was not told to take adapters while it runs."""
    return UserError(
        f"the vLLM server at {url} takes no adapters while it runs",
        why,
        f"start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora: {start_command(base)}",
    )


def require_transfer(device: torch.device) -> None:
    """Raise where merged weights cannot be sent to a server from this device."""
    if device.type != "cuda":
        raise UserError(
            f"merged weights to a vLLM server from a {device.type.upper()}",
            "they are sent by NCCL, from one GPU's memory into another's",
            'rollout.sync = "factors" where the method has factors A and B, which it is sent as files; for others '
            'rollout.vllm_mode = "colocate"',
        )


def require_room(server: Server, tokens: int) -> None:
    """Raise where the server takes fewer tokens than the longest prompt and its completion have."""
    if server.longest is not None and server.longest < tokens:
        raise UserError(
            f"the vLLM server at {server.url} takes {server.longest} tokens of a prompt and its completion",
            f"this run needs {tokens}",
            f"start it with --max-model-len {tokens}, or lower rollout.max_completion_tokens",
        )


def not_there(url: str, base: str, seconds: float) -> UserError:
    """The error of an address at which nothing answers."""
    return UserError(
        f"no vLLM server answers at {url}",
        f"it was asked for {seconds:.0f} s" if seconds else "it did answer before",
        f"{start_command(base)}; or name another, rollout.vllm_server",
    )


def said(text: str) -> str:
    """What a server's answer says in words."""
    found = re.search(r'"message":\s*"(.*?)(?<!\\)"', text)
    return (found[1] if found else text.strip())[:400] or "nothing"


def start_command(base: str) -> str:
    """How a server is started that takes adapters."""
    return (
        f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {base} --enable-lora --max-lora-rank N "
        f"--max-loras 2 --logprobs-mode {MAKES} --generation-config vllm, N at least the rank, twice that of "
        "an anchored method"
    )
