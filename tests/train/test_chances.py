"""Chances of a recipe: changed by name, refused where they mean nothing, and part of what names the cache."""

from __future__ import annotations

import pytest

from sr_core.errors import BadInput
from sr_train.chances import CHANCES, chances_from_table
from sr_train.config import DataConfig


def test_only_what_a_recipe_names_is_changed() -> None:
    changed = chances_from_table({"soft_truth": 0.2, "blur_sigma": [0.3, 0.9]})
    assert (changed.soft_truth, changed.blur_sigma) == (0.2, (0.3, 0.9))
    assert (changed.blur, changed.uncoded) == (CHANCES.blur, CHANCES.uncoded)
    assert chances_from_table({}) == CHANCES


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"vhs": 0.5}, "unknown chance 'vhs'"),
        ({"blur": 1.5}, "blur is 1.5"),
        ({"blur": True}, "blur is True"),
        ({"gray": "often"}, "gray is 'often'"),
        ({"blur_sigma": 0.5}, "blur_sigma is 0.5"),
        ({"blur_sigma": [0.9, 0.3]}, "blur_sigma"),
        ({"noise_sigma": [-1, 0.3]}, "noise_sigma"),
        ({"drawn": 2}, "drawn is 2"),
        ({"coarser": 13}, "coarser is 13"),
        ({"coarser": 1.5}, "coarser is 1.5"),
    ],
)
def test_what_is_no_chance_is_refused_by_name_when_the_recipe_is_read(table: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        DataConfig(folders=("a",), chances=table)


def test_chances_of_a_recipe_without_clips_are_refused_as_nothing_would_read_them() -> None:
    with pytest.raises(BadInput, match="clips is 0"):
        DataConfig(folders=("a",), chances={"blur": 0.2})
    assert DataConfig(folders=("a",), chances={"blur": 0.2}, clips=8).clips == 8
