"""Which devices OpenVINO has here, what people call them, and what its plug-ins are told.

CPU      types decide, under the hint f32
GPU.n    Intel's: EXECUTION_MODE_HINT=ACCURACY keeps the types of the graph, the hint f32 makes all of it f32
NPU      Intel's: computes in f16 whatever it is told, and has no hint for it
"""

from __future__ import annotations

from sr_core.backends.openvino_telemetry import telemetry_off
from sr_core.errors import NotAvailable
from sr_core.wording import option

with telemetry_off():
    import openvino as ov

CPU = "CPU"
_KINDS = ("GPU", "NPU")
_REQUESTS = 2  # one tile computes while the next is copied


def accelerators(core: ov.Core) -> tuple[str, ...]:
    """The GPUs and NPUs that OpenVINO's plug-ins find: ('GPU.0', 'GPU.1', 'NPU')."""
    found: list[str] = []
    for kind in _KINDS:
        try:
            numbers = [str(number) for number in core.get_property(kind, "AVAILABLE_DEVICES")]
        except RuntimeError:  # no such plug-in in this package, or its driver's library does not load
            continue
        found += [kind] if kind == "NPU" and len(numbers) == 1 else [f"{kind}.{number}" for number in numbers]
    return tuple(found)


def named_accelerators() -> tuple[tuple[str, str], ...]:
    """(OpenVINO's name, what it is called) of each."""
    core = ov.Core()
    return tuple((device, full_name(core, device)) for device in accelerators(core))


def device_called(name: str, core: ov.Core) -> str:
    """OpenVINO's own name for 'cpu', 'GPU' (the first), 'GPU.1' or 'NPU'.

    Raises:
        NotAvailable: there is no such device; the hint lists those there are.
    """
    wanted, found = name.upper(), accelerators(core)
    matching = [device for device in (CPU, *found) if device == wanted or device.partition(".")[0] == wanted]
    if not matching:
        others = f"OpenVINO finds {', '.join((CPU, *found))} here"
        driver = "" if found else "; an Intel GPU needs its OpenCL driver (intel-opencl-icd), an NPU intel_vpu"
        raise NotAvailable(
            f"OpenVINO has no device {name} here",
            hint=f"{others}{driver}; leave {option('device')} out",
        )
    return matching[0]


def full_name(core: ov.Core, device: str) -> str:
    """'Intel(R) Arc(TM) A770 Graphics (dGPU), GPU.0'; of a CPU its name alone."""
    name = str(core.get_property(device, "FULL_DEVICE_NAME")).strip()
    return name if device == CPU else f"{name}, {device}"


def contexts_of(device: str, cpus: int) -> int:
    """Tiles that pay at once."""
    return cpus if device == CPU else _REQUESTS


def config_for(device: str, way: str, contexts: int) -> dict[str, object]:
    """The properties for a graph in the form of `way` (`openvino_ways`)."""
    kind = device.partition(".")[0]
    if kind == CPU:
        return {
            "INFERENCE_PRECISION_HINT": "f32",  # what is to run in fewer bits has such a type
            "NUM_STREAMS": contexts,
            "INFERENCE_NUM_THREADS": contexts,
            "ENABLE_CPU_PINNING": False,  # pinned, every process takes the same first cores
        }
    if kind == "NPU":
        return {"PERFORMANCE_HINT": "THROUGHPUT", "PERFORMANCE_HINT_NUM_REQUESTS": contexts}
    precision = {"INFERENCE_PRECISION_HINT": "f32"} if way == "f32" else {"EXECUTION_MODE_HINT": "ACCURACY"}
    return {**precision, "NUM_STREAMS": contexts}
