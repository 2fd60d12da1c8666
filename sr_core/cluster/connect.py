"""The connection to a Ray cluster, and what is asked of it before any work."""

from __future__ import annotations

import os
import socket
from typing import Any, Protocol

from sr_core.errors import NotAvailable, SrError
from sr_core.retrying import TRIES

_CONNECT_SECONDS = 5.0


def connected(address: str) -> Any:
    """The module `ray`, connected to the cluster at `address`: 'auto', or HOST:PORT.

    Raises:
        NotAvailable: Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise NotAvailable("--ray needs the package 'ray'", hint="pip install 'srvid[ray]'") from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        try:
            _check_reachable(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise NotAvailable(
                f"no Ray cluster at {address!r}: {reason}",
                hint="ray start --head on one machine, ray start --address=… on the others",
            ) from error
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


def got(ray: Any, answer: Any) -> Any:
    """The value, or our own error as it was raised on the node."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SrError):
            raise error.cause from None
        raise


class Choice[Frames](Protocol):
    """Which engine, see `sr_core.segments.crew.EngineChoice`; `Frames` says for what."""

    @property
    def gpus(self) -> int: ...

    @property
    def takes_gpu(self) -> bool: ...

    def identity(self, scale: int, facts: Frames) -> dict[str, str]: ...


def identity_on_a_node[Frames](ray: Any, choice: Choice[Frames], scale: int, facts: Frames) -> dict[str, str]:
    """What an engine on a node says of itself: this machine may have no GPU."""
    gpus = int(choice.takes_gpu and ray.cluster_resources().get("GPU", 0) >= 1)
    probe = ray.remote(num_gpus=gpus or choice.gpus, num_cpus=1, max_retries=TRIES)(_identity)
    return dict(got(ray, probe.remote(choice, scale, facts)))


def _identity[Frames](choice: Choice[Frames], scale: int, facts: Frames) -> dict[str, str]:
    return choice.identity(scale, facts)


def refuse_other(differing: list[str], *, makes: str) -> None:
    """Refuse a node on which something differs from this run's coordinator.

    Args:
        differing: what, as people read it.
        makes: what it would make of another kind, in the plural.

    Raises:
        NotAvailable: `differing` is not empty.
    """
    if differing:
        raise NotAvailable(
            f"node {os.uname().nodename} would make other {makes}: {'; '.join(differing)}",
            hint="install the same srvid, packages and models on every node",
        )
