"""Whether workers would make the bytes that this run's coordinator expects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version

from sr_core.errors import NotAvailable


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What changed, as people read it."""
    names = sorted(before.keys() | after.keys())
    pairs = [(name, before.get(name, "nothing"), after.get(name, "nothing")) for name in names]
    return [f"{name}: was {then}, now {now}" for name, then, now in pairs if then != now]


class Likeness:
    """What a maker has here, found once when it is first asked for; the coordinator's must be the same.

    Args:
        makes: what it would make of another kind, in the plural.
    """

    def __init__(
        self, find_versions: Callable[[], dict[str, str]], find_engine: Callable[[], dict[str, str]], *, makes: str
    ) -> None:
        self._find_versions, self._find_engine, self._makes = find_versions, find_engine, makes

    def check(self, versions: dict[str, str], engine: dict[str, str]) -> None:
        """Refuse to work for a coordinator that has these.

        Raises:
            NotAvailable: something differs.
        """
        differing = differences(versions, self._versions) + differences(engine, self._engine)
        if differing:
            raise NotAvailable(
                f"node {os.uname().nodename} would make other {self._makes}: {'; '.join(differing)}",
                hint="install the same srvid, packages and models on every node",
            )

    @cached_property
    def _versions(self) -> dict[str, str]:
        return self._find_versions()

    @cached_property
    def _engine(self) -> dict[str, str]:
        return self._find_engine()


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those of `packages` that are installed."""
    found: dict[str, str] = {}
    for package in sorted(packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
