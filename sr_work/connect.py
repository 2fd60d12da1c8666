"""The connection to a Ray cluster, and errors as they were raised on a node."""

from __future__ import annotations

import os
import socket
import time
from contextlib import chdir
from importlib.util import find_spec
from typing import Any

from sr_core.children import working_folder
from sr_core.errors import NotAvailable, SrError
from sr_core.wording import count_of, option

_ANSWER_SECONDS = 3.0  # for the connection and the first answer together
# A gRPC server answers the preface of HTTP/2 (RFC 9113 §3.4) and an empty SETTINGS frame with a frame of type 4.
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4


def connect(address: str) -> Any:
    """The module `ray`, connected to the cluster at `address`: 'auto', or HOST:PORT.

    Raises:
        NotAvailable: Ray is not installed, or there is no cluster.
    """
    if find_spec("ray") is None:
        raise NotAvailable(f"{option('ray')} needs the package 'ray'", hint="pip install 'srvid[ray]'")
    demand_reachable(address)  # before Ray, which takes seconds to import
    import ray

    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        try:
            with chdir(working_folder()):  # Ray lets the nodes import from the folder it is called in
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            raise _no_cluster(address, error) from error
    return ray


def demand_reachable(address: str) -> None:
    """Refuse an address where no Ray cluster answers, in seconds; Ray itself would try for a minute.

    Raises:
        NotAvailable: nothing answers there, or something that is not Ray. 'auto' and URLs pass.
    """
    try:
        _check_reachable(address)
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> NotAvailable:
    reason = str(error).strip().splitlines()[0].partition(". ")[0]
    return NotAvailable(
        f"no Ray cluster at {address!r}: {reason}",
        hint="ray start --head on one machine, ray start --address=… on the others",
    )


def describe_cluster(ray: Any) -> str:
    """Nodes, CPUs and GPUs of a connected cluster, in words."""
    resources, nodes = ray.cluster_resources(), sum(bool(node["Alive"]) for node in ray.nodes())
    counts = [count_of(nodes, "node"), count_of(int(resources.get("CPU", 0)), "CPU")]
    counts.append(count_of(int(resources.get("GPU", 0)), "GPU"))
    return ", ".join(counts)


def _check_reachable(address: str) -> None:
    """Raise OSError unless a gRPC server answers at `address`."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    deadline = time.monotonic() + _ANSWER_SECONDS
    with socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return  # it would want a handshake first
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        connection.sendall(_HTTP2_HELLO)
        try:
            header = connection.recv(9)
        except TimeoutError as error:
            raise ConnectionError("what listens there does not answer") from error
        if len(header) < 4 or header[3] != _SETTINGS:
            raise ConnectionError("what answers there is not Ray")


def get_result(ray: Any, answer: Any) -> Any:
    """The value, or our own error as it was raised on the node."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, SrError):
            raise error.cause from None
        raise
