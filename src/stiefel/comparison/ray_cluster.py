"""A Ray cluster: one that is there, or one of this machine that lives as long as the comparison."""

from __future__ import annotations

import io
import ipaddress
import logging
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..progress import cores
from ..recipe import Recipe
from .cells import gpus_named
from .environment import environment
from .held import Held
from .ray_worker import machine
from .software import differences, software

TRIED = "2.60"  # what the tests run
INSTALL = 'pip install "stiefel[ray]"'
LOCAL = "--backend local"
REACH_SECONDS = 10  # for a machine to answer
BOUNDED = {  # in place of minutes: one try to reach what manages a cluster, and a wait for this machine's part of it
    "RAY_gcs_server_port_wait_time_s": "1",
    "RAY_GCS_SERVER_REQUEST_TIMEOUT_SECONDS": "20",
    "RAY_py_gcs_connect_timeout_s": str(REACH_SECONDS),
}
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"
}  # on any system: otherwise Ray turns 127.0.0.1 into another address
PROBE_SECONDS = 120.0  # for a machine to start a process and import Stiefel's ground
OBJECTS = 100 * 2**20  # bytes of the local cluster's object store: what travels is small
PREFIX = "stiefel-ray-"
SHORT = Path("/tmp")  # a socket's whole path has 107 bytes, of which Ray takes most; the name is random


@dataclass(frozen=True)
class Ask:
    """What a cell asks of a machine."""

    cpus: int
    gpus: int

    def fits(self, has: Mapping[str, float]) -> bool:
        """Whether a machine with these resources could ever run it."""
        return has.get("CPU", 0) >= self.cpus and has.get("GPU", 0) >= self.gpus

    def __str__(self) -> str:
        return f"{counted(self.cpus, 'CPU')} and {counted(self.gpus, 'GPU')}"


def counted(number: float, what: str) -> str:
    """1 GPU, 2 GPUs."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def asked(recipe: Recipe, *, gpus_there: bool) -> Ask:
    """A CPU a thread, and the GPUs that the recipe names, one where it names none and the cluster has some.

    An engine on a CPU names one GPU too, which is asked for where there are any.
    """
    gpus = gpus_named(recipe)
    return Ask(recipe.run.threads or 1, max(gpus, 1) if gpus_there or gpus > 1 or recipe.cluster.gpus else 0)


def require_ray() -> None:
    """Raise where Ray is not installed, or is of another version than the one that was tried; imports nothing of it."""
    if find_spec("ray") is None:
        raise UserError("Ray is not installed", "--backend ray runs on it", f"{INSTALL}, or {LOCAL}")
    try:
        found = version("ray")
    except PackageNotFoundError:  # a directory of that name beside the user's files
        found = "without a version"
    if not re.match(rf"{re.escape(TRIED)}\.\d", found):
        raise UserError(
            f"Ray {found} is installed",
            f"--backend ray needs a version that was tried, which are those of {TRIED}",
            f"{INSTALL}, or {LOCAL}",
        )


@contextmanager
def ray_cluster(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at an address, or to one of this machine alone that ends with the block.

    The local one listens on the loopback interface and takes whoever has its token, which is drawn anew.
    Raises UserError where the address does not answer within seconds.
    """
    require_ray()
    place: Held | None = None
    if address:
        loopback = require_answer(address)
        settings = {**BOUNDED, **(LOOPBACK if loopback else {})}
    else:
        place = Held(SHORT, PREFIX)
        settings = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            **LOOPBACK,
        }
    try:
        with environment(RAY_USAGE_STATS_ENABLED="0", **settings), redirect_stdout(io.StringIO()):
            # stdout: where Ray tells of lost workers, which we do
            import ray

            try:
                join(ray, address, place.directory if place is not None else None)
                yield ray
            finally:
                ray.shutdown()
    finally:
        if place is not None:
            place.give_up()


def join(ray: Any, address: str, place: Path | None) -> None:
    """Connect this process."""
    usual = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    if place is not None:
        ray.init(
            "local",
            num_cpus=cores(),
            object_store_memory=OBJECTS,
            include_dashboard=False,
            _temp_dir=str(place),
            **usual,
        )
        (node,) = ray.nodes()
        assert node["NodeManagerAddress"] == "127.0.0.1", node["NodeManagerAddress"]
        return
    try:
        ray.init(address, **usual)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(
            f"the Ray cluster at {address} does not take this process",
            reason_of(error.__cause__ or error),
            "the same Ray and Python on all machines, its token if it has one, and a machine of the cluster to start "
            f"from; or {LOCAL}",
        ) from error


def reason_of(error: BaseException) -> str:
    """What an error of Ray's says, in a line; of one that quotes a traceback its last line."""
    text = str(error).strip()
    return text.splitlines()[-1] if "Traceback (" in text else " ".join(text.split())


def require_answer(address: str) -> bool:
    """Raise unless somebody answers at HOST:PORT; whether that is on loopback.

    `auto` is a cluster that was started on this machine, and is asked by Ray itself.
    """
    if address == "auto":
        return False
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in host or not port.isdecimal():
        raise UserError(
            f"--address {address} is no address of a cluster",
            "it is where `ray start --head` listens, and this machine is one of the cluster's",
            "--address HOST:PORT, or --address auto",
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS) as reached:
            return ipaddress.ip_address(reached.getpeername()[0]).is_loopback
    except (OSError, OverflowError) as error:
        raise UserError(
            f"no Ray cluster answers at {address}",
            str(error),
            "the address that `ray start --head` printed; without --address a cluster of this machine is started",
        ) from error


def machines(ray: Any) -> dict[str, dict[str, float]]:
    """The machines that are there, by Ray's id, with all that each has, taken or not."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def require_resources(asks: Mapping[str, Ask], there: Mapping[str, Mapping[str, float]]) -> None:
    """Raise for the first cell that no machine could run."""
    for name, ask in asks.items():
        if not any(ask.fits(has) for has in there.values()):
            found = "; ".join(str(Ask(int(has.get("CPU", 0)), int(has.get("GPU", 0)))) for has in there.values())
            raise UserError(
                f"{name} asks for {ask}, and no machine of the Ray cluster has them",
                f"there are {counted(len(there), 'machine')}: {found}",
                "lower run.threads, cluster.gpus or rollout.vllm_tensor_parallel, or add a larger machine",
            )


def require_software(ray: Any) -> None:
    """Raise for the first machine whose Stiefel, or what it stands on, is not this one's."""
    here = software()
    look = ray.remote(num_cpus=0)(machine)
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked_of = [look.options(scheduling_strategy=strategy(node, soft=False)).remote() for node in machines(ray)]
    for answer in asked_of:
        try:
            name, there = ray.get(answer, timeout=PROBE_SECONDS)
        except ray.exceptions.RayError as error:
            raise UserError(
                "a machine of the Ray cluster has no Stiefel that can be asked for its version",
                reason_of(error),
                "install the same Stiefel on every machine, for the Python that runs `ray start`",
            ) from error
        require_same(name, here, there)


def require_same(name: str, here: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Raise where a machine has other versions: runs of two would stand in one table."""
    if others := differences(here, there):
        raise UserError(
            f"{name} of the Ray cluster runs other software: {'; '.join(others)}",
            "cells of one grid are compared, and would not be of one program",
            "install the same versions on every machine",
        )
