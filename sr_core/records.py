"""JSON that srvid wrote for itself, read as if somebody else had.

Manifests, sidecars, journals and the facts inside a model are changed by failing disks, by editors and
by people who mean harm. `record_from_json` gives an object whose every field has its declared type, or
says in one line which has not; nothing behind it need look again.
"""

from __future__ import annotations

import hashlib
import json
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from fractions import Fraction
from typing import Any, Literal, NoReturn, Union, cast, get_args, get_origin, get_type_hints

from sr_core.errors import BadInput

LARGEST_INTEGER = 2**63 - 1  # what a file's sizes, counts and ticks fit into


def parse_json(content: bytes | str) -> Any:
    """The value that `content` holds; NaN and infinity are refused, as JSON has none.

    Raises:
        BadInput: it is not JSON, not UTF-8, or nested without end.
    """
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise BadInput(f"not JSON: {reason}") from error


def record_from_json[Record](content: bytes | str, kind: type[Record]) -> Record:
    """Parse `content` into the dataclass `kind`; see `record_from`."""
    return record_from(parse_json(content), kind)


def record_from[Record](value: object, kind: type[Record]) -> Record:
    """A dataclass out of a parsed JSON object: no key unknown, none missing, every value of its type.

    Raises:
        BadInput: which key is wrong, and what was expected of it.
    """
    return cast(Record, _dataclass(value, kind, ""))


def seal(content: Mapping[str, object]) -> bytes:
    """`content` as JSON with a digest of itself, so that a changed byte shows (`unseal`)."""
    return json.dumps({"seal": _digest(content), **content}, indent=1).encode()


def unseal(content: bytes) -> dict[str, Any]:
    """What `seal` was given, as JSON has it.

    Raises:
        BadInput: it is no such JSON, or has changed since.
    """
    held: dict[str, Any] = check(parse_json(content), dict[str, Any])
    if held.pop("seal", None) != _digest(held):
        raise BadInput("it has changed since it was written")
    return held


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def check(value: object, kind: Any, name: str = "it") -> Any:
    """`value` as the type `kind` (built-in types, tuples, dicts, unions, literals, dataclasses).

    Raises:
        BadInput: it is of another type, beyond 64 bits, not finite, or text that is not Unicode.
    """
    return _value(value, kind, name)


def _dataclass(value: object, kind: type[Any], at: str) -> Any:
    if not isinstance(value, Mapping):
        _refuse(value, "an object", at or "it")
    names = {entry.name: entry for entry in fields(kind)}
    unknown = [key for key in value if key not in names]
    missing = [
        name
        for name, entry in names.items()
        if name not in value and entry.default is MISSING and entry.default_factory is MISSING
    ]
    if unknown or missing:
        what, which = ("unknown", unknown) if unknown else ("missing", missing)
        raise BadInput(f"{what} key{'s' if len(which) > 1 else ''} {', '.join(_show(key) for key in which[:5])}")
    hints = get_type_hints(kind)
    return kind(**{key: _value(part, hints[key], f"{at}{key}") for key, part in value.items()})


def _value(value: object, kind: Any, at: str) -> Any:
    if kind is Any:
        return value
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union(value, arguments, at)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        _refuse(value, f"one of {', '.join(map(repr, arguments))}", at)
    if origin is tuple:
        return _tuple(value, arguments, at)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            _refuse(value, "an object", at)
        return {_plain(key, str, at): _value(part, arguments[1], f"{at}.{key}"[:80]) for key, part in value.items()}
    if is_dataclass(kind):
        return _dataclass(value, cast(type[Any], kind), f"{at}.")
    return _plain(value, kind, at)


def _union(value: object, kinds: tuple[Any, ...], at: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    rest = [kind for kind in kinds if kind is not type(None)]
    for kind in rest[:-1]:
        try:
            return _value(value, kind, at)
        except BadInput:
            continue
    return _value(value, rest[-1], at)


def _tuple(value: object, kinds: tuple[Any, ...], at: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        _refuse(value, "a list", at)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_value(part, kinds[0], f"{at}[{index}]") for index, part in enumerate(value))
    if len(value) != len(kinds):
        _refuse(value, f"{len(kinds)} values", at)
    return tuple(
        _value(part, kind, f"{at}[{index}]") for index, (part, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _plain(value: object, kind: type[Any], at: str) -> Any:
    read, expected = _PLAIN[kind]
    made = read(value)
    if made is None:
        _refuse(value, expected, at)
    return made


def _as_text(value: object) -> str | None:
    """Also of a file's name of any bytes, as Python keeps them; not half a character."""
    try:
        return value if isinstance(value, str) and value.encode("utf-8", "surrogateescape") is not None else None
    except UnicodeEncodeError:
        return None


def _as_integer(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) <= LARGEST_INTEGER else None


def _as_number(value: object) -> float | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    whole = _as_integer(value)
    return None if whole is None else float(whole)


def _as_fraction(value: object) -> Fraction | None:
    try:
        return Fraction(value) if isinstance(value, str) else None
    except (ValueError, ZeroDivisionError):
        return None


_PLAIN: dict[type[Any], tuple[Callable[[object], Any], str]] = {
    str: (_as_text, "a text"),
    bool: (lambda value: value if isinstance(value, bool) else None, "true or false"),
    int: (_as_integer, "a whole number"),
    float: (_as_number, "a number"),
    Fraction: (_as_fraction, "a fraction"),
}


def _refuse(value: object, expected: str, at: str) -> NoReturn:
    raise BadInput(f"{at} is {_show(value)}, expected {expected}")


def _show(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
