"""What the page offers, whatever lies in the folder of models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from sr_core.testing import random_model
from sr_ui.api import Call
from sr_ui.handlers import Handlers
from sr_ui.library import Library
from sr_ui.suggested import models_here


def test_a_model_whose_name_reads_like_a_chain_is_offered_with_its_own_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_MODELS", str(tmp_path))
    onnx.save(random_model(3), str(tmp_path / "a,b.onnx"))
    scales = {model["name"]: tuple(model["scales"]) for model in models_here()}
    assert scales["a,b"] == (3,)
    assert 4 in scales["clear"]


def test_a_contact_sheet_walks_its_folder_once_and_not_once_for_each_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    none: Any = None
    handlers = Handlers(Library([tmp_path]), none, none, none, start_folder=tmp_path)
    opened, walks, walk = handlers.library.open(tmp_path), list[object](), os.walk

    def counted(*given: Any, **more: Any) -> Any:
        walks.append(given)
        return walk(*given, **more)

    monkeypatch.setattr(os, "walk", counted)
    assert len(handlers.facts(Call(path={"id": opened.id}, query={}, body=None))["images"]) == 3
    for number in "012":
        assert handlers.sheet_picture(Call(path={"id": opened.id, "number": number}, query={}, body=None)).body
    assert len(walks) == 1
