"""What comes from a file is shown, and steers no terminal."""

from __future__ import annotations

import pytest

from sr_core.errors import BadInput
from sr_core.wording import option, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("red\x1b[31m", r"red\x1b[31m"),
        ("\x9b2J", r"\x9b2J"),  # CSI of 8-bit terminals
        ("a\udc9b\udc9fb", r"a\x9b\x9fb"),  # the same as bytes of a file's name
        ("\x7f\r\b\0", r"\x7f\x0d\x08\x00"),
        ("two\nlines\there", r"two\x0alines\x09here"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("café 東京 🎞 \u200d", "café 東京 🎞 \u200d"),
        ("caf\udcc3\udca9", "caf\udcc3\udca9"),
    ],
)
def test_control_characters_are_shown_and_letters_left_alone(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_line_ends_of_our_own_may_stay() -> None:
    assert printable("a\n  b\x1b", keep="\n") == "a\n  b\\x1b"


def test_an_error_shows_them_whoever_prints_it() -> None:
    error = BadInput("no stream\x1b]0;owned\x07", hint=f"{option('tile', 64)}\x1b[2J\nor none")
    assert str(error) == "no stream\\x1b]0;owned\\x07\nhint: tile=64\\x1b[2J\nor none"
    assert error.hint == "tile=64\\x1b[2J\nor none"
    assert error.as_told(lambda name, value: f"--{name} {value}")[1] == "--tile 64\\x1b[2J\nor none"
