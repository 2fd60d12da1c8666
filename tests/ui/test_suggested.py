"""What the page offers, whatever lies in the folder of models."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from sr_core.testing import random_model
from sr_ui.suggested import models_here


def test_a_model_whose_name_reads_like_a_chain_is_offered_with_its_own_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRVID_MODELS", str(tmp_path))
    onnx.save(random_model(3), str(tmp_path / "a,b.onnx"))
    scales = {model["name"]: tuple(model["scales"]) for model in models_here()}
    assert scales["a,b"] == (3,)
    assert 4 in scales["clear"]
