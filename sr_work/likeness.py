"""Whether workers would make the bytes that this run's coordinator expects."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from sr_core.errors import NotAvailable


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What changed, as people read it."""
    names = sorted(before.keys() | after.keys())
    pairs = [(name, before.get(name, "nothing"), after.get(name, "nothing")) for name in names]
    return [f"{name}: was {then}, now {now}" for name, then, now in pairs if then != now]


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


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those of `packages` that are installed."""
    found: dict[str, str] = {}
    for package in sorted(packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
