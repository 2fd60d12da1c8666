"""The properties of an ONNX file without the `onnx` package, which takes longer to import than all models to read.

An ONNX file is one ModelProto (onnx.proto): a row of fields, each behind its number and wire type
(protobuf encoding, "Message Structure"). Only the heads of the large fields are read.

    tag 7 ─ length ─ graph … │ tag 14 ─ length ─ { tag 1 key, tag 2 value } │ tag 14 ─ …
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

_GRAPH, _PROPERTY, _KEY, _VALUE = 7, 14, 1, 2  # field numbers in onnx.proto
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # wire types
_FIXED_BYTES = {_FIXED_64: 8, _FIXED_32: 4}
_LARGEST_PROPERTY = 1 << 20  # bytes
_VARINT_BYTES = 10


def properties_of(path: Path) -> dict[str, str] | None:
    """`metadata_props` of an ONNX file.

    None where that is no whole ONNX file with a graph, or one that only `onnx` can tell: ask it then what is wrong.
    """
    try:
        with path.open("rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    except (OSError, ValueError, EOFError):
        return None


def _read(file: BinaryIO, end: int) -> dict[str, str] | None:
    found: dict[str, str] = {}
    has_graph = False
    while file.tell() < end:
        number, length = _field(file)
        if file.tell() + length > end:
            raise EOFError
        if number == _PROPERTY and length <= _LARGEST_PROPERTY:
            entry = _entry(file.read(length))
            found[entry.get(_KEY, "")] = entry.get(_VALUE, "")
        else:
            has_graph = has_graph or (number == _GRAPH and length > 0)
            file.seek(length, os.SEEK_CUR)
    return found if has_graph else None


def _entry(content: bytes) -> dict[int, str]:
    file, found = io.BytesIO(content), dict[int, str]()
    while file.tell() < len(content):
        number, length = _field(file)
        text = file.read(length)
        if len(text) < length:
            raise EOFError
        found[number] = text.decode()
    return found


def _field(file: BinaryIO) -> tuple[int, int]:
    """(number of the field, bytes that follow of it); a number is read, and nothing of it follows."""
    tag = _varint(file)
    kind = tag & 7
    if kind == _VARINT:
        _varint(file)
        return tag >> 3, 0
    if kind in _FIXED_BYTES:
        return tag >> 3, _FIXED_BYTES[kind]
    if kind != _BYTES:
        raise ValueError(f"wire type {kind}")
    return tag >> 3, _varint(file)


def _varint(file: BinaryIO) -> int:
    """Seven bits a byte, the lowest first; the eighth says that another byte follows."""
    value = 0
    for place in range(_VARINT_BYTES):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return value
    raise ValueError("a number without an end")
