"""Modules whose types stand in annotations, and which are loaded only when somebody asks for those types."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LateModule:
    """Stands for the module `name`, so that `typing.get_type_hints` finds what an import for type checkers names."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
