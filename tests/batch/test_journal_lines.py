"""One odd line of srbatch's journal costs what it was about, never the batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srvid_cli.batch.manifest import MANIFEST_NAME, Manifest

GOOD = {"target": "a.png", "input": "1", "settings": "2", "output": "3"}


@pytest.mark.parametrize(
    "line",
    [
        *(json.dumps(GOOD | {"target": name}) for name in ([], 3, "a\0b", "\ud800", "../../x", "", "/etc/x")),
        json.dumps(GOOD | {"input": {}}), "[" * 100_000, "null", "[]", "7", "{",
    ],
)  # fmt: skip
def test_an_odd_line_is_passed_over(line: str, tmp_path: Path) -> None:
    journal = tmp_path / MANIFEST_NAME
    journal.write_text(f"{line}\n{json.dumps(GOOD)}\n{line}\n")
    assert Manifest(tmp_path).made() == {tmp_path / "a.png"}


def test_a_name_of_any_bytes_is_known_again(tmp_path: Path) -> None:
    name = "a\udcff.png"
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(GOOD | {"target": name}) + "\n")
    assert Manifest(tmp_path).made() == {tmp_path / name}
