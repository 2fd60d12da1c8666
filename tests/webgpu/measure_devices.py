"""Print as JSON what 'auto' takes beside a software adapter, and a real trial between the two. Run by test_webgpu."""

from __future__ import annotations

import json
import os
import tempfile

from sr_core.storage import CACHE_VARIABLE


def main() -> None:
    """The cache is empty and thrown away."""
    from sr_core.model_spec import spec_of
    from sr_core.testing import random_model
    from srvid import device_trial
    from srvid.backend_choice import choose, open_named

    device_trial.SIZE = (32, 24)
    model = random_model(2, layers=1, features=4)
    spec = spec_of(model)
    assert spec is not None
    choice = choose()
    software = open_named("webgpu")
    order, verdict = device_trial.fastest_first((choice.backend, software), model, spec)
    found = {
        "auto": choice.backend.name,
        "passed_over": choice.passed_over,
        "webgpu": software.device,
        "order": [backend.name for backend in order],
        "seconds": [trial.seconds for trial in verdict.trials],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = folder
        main()
