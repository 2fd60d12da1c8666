"""The options that say who does the work: this process, processes, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import click

from srvid_cli.command import MACHINES, group_options

if TYPE_CHECKING:
    from sr_work.work import Pool

_OPTIONS = (
    group_options(MACHINES, "--workers", type=click.IntRange(1), help="Processes that share the work. Default: 1."),
    group_options(MACHINES, "--devices", metavar="0,1,…", help="NVIDIA GPUs to use, one process each."),
    group_options(MACHINES, "--ray", metavar="ADDRESS", help="Share the work on a Ray cluster: auto, or HOST:PORT."),
)


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """What the user said, as click read it."""

    workers: int | None
    devices: str | None
    ray: str | None

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> Self:
        """The values among `given`, which lose them.

        Raises:
            click.UsageError: two options that cannot both be meant.
        """
        options = cls(**{field.name: given.pop(field.name) for field in fields(cls)})
        if options.ray and (options.workers or options.devices):
            raise click.UsageError("--ray finds its own workers and GPUs: leave --workers and --devices out")
        return options

    @property
    def is_given(self) -> bool:
        """Others than this process do the work."""
        return bool(self.workers or self.devices or self.ray)

    @property
    def processes(self) -> int:
        """Processes of this machine that work at once."""
        return self.workers or len((self.devices or "0").split(","))

    def threads_each(self) -> int | None:
        """Processes share the CPUs, unless each has a GPU. None: all."""
        from sr_core.backend import usable_cpus

        return None if self.devices or not self.workers else max(1, usable_cpus() // self.workers)

    def pool(self) -> Pool:
        """Who does the work."""
        if self.ray:
            from sr_work.ray_cluster import RayCluster

            return RayCluster(address=self.ray)
        if self.workers or self.devices:
            from sr_work.processes import Processes

            gpus = tuple(filter(None, (self.devices or "").split(",")))
            _check_devices(gpus)
            return Processes(workers=self.workers or len(gpus), devices=gpus)
        from sr_work.here import Here

        return Here()


def pool_options[Command: Callable[..., object]](command: Command) -> Command:
    """Decorate `command` with --workers, --devices and --ray."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _check_devices(gpus: tuple[str, ...]) -> None:
    """Refuse numbers that no GPU has: a worker would see no card at all, and go on without."""
    from sr_core.backends.cuda import find_gpus, gpu_at

    numbers = [int(name) for name in gpus if name.isdecimal()]  # CUDA also takes 'GPU-3f2a…'
    found = find_gpus() if numbers else ()
    for number in numbers:
        gpu_at(number, found)
