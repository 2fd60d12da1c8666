"""Write the names of one TensorRT library into api_table.json.

    python tests/trt/make_api_table.py tensorrt_rtx 1.7         # needs the package, no GPU
    python tests/trt/make_api_table.py tensorrt_bindings 11.4   # the bindings wheel alone, see below

The `tensorrt_cu13_bindings` wheel imports without NVIDIA's libraries when three shared objects of
the right names (libnvinfer, libnvinfer_plugin, libnvonnxparser) define the eleven functions it
links to; what they do does not matter, because only names are read:

    void *createInferBuilder_INTERNAL() { return 0; }    ... and so on for each undefined symbol
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

TABLE = Path(__file__).with_name("api_table.json")
CLASSES = (
    "Builder IBuilderConfig OnnxParser IProgressMonitor ILogger ILogger.Severity Runtime ICudaEngine "
    "IExecutionContext IRuntimeConfig IRuntimeCache BuilderFlag NetworkDefinitionCreationFlag "
    "MemoryPoolType TensorIOMode HardwareCompatibilityLevel ComputeCapability EngineValidity "
    "EngineInvalidityDiagnostics CudaGraphStrategy DynamicShapesKernelSpecializationStrategy"
).split()


def main(module_name: str, label: str) -> None:
    trt = import_module(module_name)
    names = {"": [name for name in CLASSES if "." not in name and hasattr(trt, name)] + ["nptype", "__version__"]}
    for dotted in CLASSES:
        found = trt
        for part in dotted.split("."):
            found = getattr(found, part, None)
        if found is not None:
            names[dotted] = [name for name in sorted(dir(found)) if not name.startswith("_") or name == "__members__"]
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table[label] = {"version": trt.__version__, "names": names}
    TABLE.write_text(json.dumps(dict(sorted(table.items())), indent=None, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
