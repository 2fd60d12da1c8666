"""The authors' figures, and what their networks cost."""

import pytest

from sr_core.model_spec import load_model, read_spec
from sr_train.published import macs_of_network, published_rows
from sr_zoo.cost import macs_per_output_pixel
from sr_zoo.models import find_model


@pytest.mark.parametrize("name", ["fsrcnn-x3", "clear-x4"])
def test_torch_counts_the_multiply_adds_that_the_graph_has(name: str) -> None:
    path = find_model(name)
    spec = read_spec(path)
    counted = macs_of_network(name.rpartition("-x")[0], spec.scale)
    assert counted == pytest.approx(macs_per_output_pixel(load_model(path), spec), rel=1e-3)


def test_a_network_we_measured_is_not_repeated_and_an_unpublished_set_adds_nothing() -> None:
    rows = list(published_rows(["set5", "my-pictures"], without={("vdsr", 4), ("rdn", 2)}))
    names = {(row.model, row.scale, row.test_set) for row in rows}
    assert ("vdsr", 3, "set5") in names
    assert ("vdsr", 4, "set5") not in names
    assert {row.test_set for row in rows} == {"set5"}
    assert next(row.psnr_y for row in rows if (row.model, row.scale) == ("rcan", 4)) == 32.63
