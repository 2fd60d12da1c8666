"""Turn a foreign model file into one of ours: `python -m sr_zoo.convert convert FILE OUT.onnx NAME`.

    .onnx              adopting      its graph between our ends
    .param + .bin      ncnn          its layers as ONNX, then as above
    .pth .safetensors  torch_files   spandrel, then `torch_export`

Every foreign file passes here, in a process of its own (`importing`): runtimes have crashed, hung and eaten
all memory over files that were no models. Prints one `error:` line, and a `hint:` line where there is one,
and ends with code 1 when it cannot.
"""

import os
import sys
from pathlib import Path

from sr_core.errors import BadModel, SrError
from sr_core.model_spec import NCNN_SUFFIX, load_model
from sr_core.storage import write_atomically
from sr_core.wording import as_argument
from sr_zoo.soundness import refuse_unsound

_THREAD_BYTES = 32 << 20  # stacks and arenas of two runtimes' threads, for each CPU


def convert(path: Path, target: Path, name: str, way: str = "") -> None:
    """Write `target`, checked against the file's own runtime.

    Args:
        way: of `torch_export.WAYS`, the first to try.

    Raises:
        BadModel: unsafe, unknown, or not an image enlarger.
    """
    suffix = path.suffix.lower()
    if suffix in (".onnx", NCNN_SUFFIX):
        from sr_zoo.adopting import adopt

        if suffix == ".onnx":
            model = load_model(path)
            refuse_unsound(model, path.name)
            made = adopt(model, name, training="imported from ONNX")
        else:
            from sr_zoo.ncnn import read_ncnn
            from sr_zoo.ncnn_base import is_without_base, with_base

            layers = read_ncnn(path)
            whole = with_base(layers) if is_without_base(layers) else layers
            made = adopt(whole, name, training="imported from ncnn")
        write_atomically(target, made.SerializeToString())
        return
    from sr_zoo.torch_files import read_torch_file

    network, spec = read_torch_file(path, name)
    from sr_zoo.importing import WAYS
    from sr_zoo.torch_export import export

    write_atomically(target, export(network, spec, first=way or WAYS[0]).SerializeToString())


def check(path: Path) -> None:
    """Run a model of our own format once.

    Raises:
        BadModel: it does not run, or gives no picture.
    """
    from sr_core.model_spec import spec_of
    from sr_zoo.onnx_run import open_runner, probe_noise, refuse_not_finite
    from sr_zoo.reasons import unreadable

    model = load_model(path)
    spec = spec_of(model)
    assert spec is not None
    refuse_unsound(model, path.name)
    side = -(-max(24, spec.smallest) // spec.size_multiple) * spec.size_multiple
    width, height = spec.fixed_size or (side, side)
    try:
        made = open_runner(model)(probe_noise((1, spec.channels, height, width)))
    except RuntimeError as failure:
        raise unreadable(path.name, failure) from failure
    expected = (1, spec.channels, height * spec.scale, width * spec.scale)
    if made.shape != expected:
        raise BadModel(
            f"{path.name} makes {list(made.shape)} of {[1, spec.channels, height, width]}, expected {list(expected)}",
            hint="its header and its network do not belong together: get the file again",
        )
    refuse_not_finite(made, path.name)


def limit_process(path: Path) -> None:
    """Memory and CPU time for this process, by what it opens; where the system can (not Windows).

    Half of the machine's memory and at least 4 GB for torch files. A graph of a few kilobytes has no use
    for that: an ONNX file gets 1 GiB, 40 times its size and the stacks of the runtimes' threads, and two
    minutes of CPU time and a second for each 100 kB. Measured: 450 convolutions of 64 channels, 67 MB, were
    converted in 963 MB and 11 s (2-core AMD EPYC, AVX2 only, shared).
    """
    try:
        import resource

        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        most, seconds = max(whole // 2, 4 << 30), 0
        if path.suffix.lower() == ".onnx":
            size = path.stat().st_size
            most = min(most, (1 << 30) + 40 * size + _THREAD_BYTES * (os.cpu_count() or 1))
            seconds = 120 + size // 100_000
        for kind, limit in ((resource.RLIMIT_DATA, most), (resource.RLIMIT_CPU, seconds)):
            before = resource.getrlimit(kind)
            if limit and (before[0] == resource.RLIM_INFINITY or limit < before[0]):
                resource.setrlimit(kind, (limit, before[1]))
    except (ImportError, ValueError, OSError):
        return


def main(arguments: list[str]) -> int:
    """`convert FILE OUT NAME [WAY]` or `check FILE`; errors go to stderr as the caller reads them."""
    limit_process(Path(arguments[1]))
    try:
        if arguments[0] == "check":
            check(Path(arguments[1]))
        else:
            convert(Path(arguments[1]), Path(arguments[2]), *arguments[3:])
    except SrError as error:
        print(f"error: {' '.join(error.as_told(as_argument)[0].split())}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: there is not enough memory to open it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
