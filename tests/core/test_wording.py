"""Words that several front ends say."""

from __future__ import annotations

import pytest

from sr_core.wording import text_from_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1_000, "1.0 kB"), (48_200, "48 kB"), (999_600, "1.0 MB"),
        (4_210_000, "4.2 MB"), (999_400_000, "999 MB"), (51_000_000_000, "51 GB"), (3_100_000_000_000, "3.1 TB"),
    ],
)  # fmt: skip
def test_a_size_has_the_unit_that_shows_its_first_digits(count: int, text: str) -> None:
    assert text_from_bytes(count) == text
