"""srkit doctor: what works on this machine."""

from __future__ import annotations

import click

from srvid_cli.spelling import tell, tell_in_line


@click.command("doctor")
def command() -> None:
    """Try every backend and part, and say what to do about those that do not work here."""
    import os
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from sr_core.backend import BACKENDS, usable_cpus
    from sr_core.backends.choice import read_verdicts
    from sr_core.backends.cuda import find_gpus
    from sr_core.backends.openvino_devices import named_accelerators
    from sr_core.errors import SrError
    from sr_core.storage import CACHE_VARIABLE, cache_dir, cache_path
    from sr_video.decide.hardware_encoders import ELSEWHERE, HARDWARE_ENCODERS, why_not_here
    from srvid import __version__
    from srvid.backend_choice import NVIDIA, choose, open_named

    click.echo(f"srvid {__version__}, Python {platform.python_version()}, {platform.platform()}")
    click.echo(f"CPUs usable: {usable_cpus()}; cache: {cache_path()}")
    try:
        is_writable = os.access(cache_dir(), os.W_OK)
    except SrError:
        is_writable = False
    if not is_writable:
        click.echo(f"  the cache cannot be written, nothing is kept there: set {CACHE_VARIABLE} to a writable folder")
    click.echo("\npackages")
    for name in (
        "av",
        "numpy",
        "onnx",
        "openvino",
        "onnxruntime",
        "tensorrt",
        "tensorrt-rtx",
        "torch",
        "vapoursynth",
    ):
        try:
            click.echo(f"  {name:14} {version(name)}")
        except PackageNotFoundError:
            click.echo(f"  {name:14} -")
    click.echo("\nNVIDIA GPUs, as --device numbers them")
    try:
        for gpu in find_gpus():
            click.echo(f"  {gpu.index:<14} {gpu.name}, {gpu.target}, {gpu.memory_bytes >> 30} GiB, {gpu.driver}")
    except SrError as error:
        click.echo(f"  none: {tell_in_line(error)}")
    click.echo("\nIntel GPUs and NPUs, as --device names them")
    for device, full_name in (devices := named_accelerators()):
        click.echo(f"  {device:14} {full_name}")
    if not devices:
        click.echo("  none: OpenVINO finds only the CPU")
    click.echo("\nbackends")
    for name in BACKENDS:
        try:
            backend = open_named(name)
        except SrError as error:
            click.echo(f"  {name:14} no: {tell_in_line(error)}")
        else:
            click.echo(f"  {name:14} yes: {backend.device}")
    click.echo("\nhardware encoders, for --codec")
    for name, row in HARDWARE_ENCODERS.items():
        why = why_not_here(row)
        click.echo(f"  {name:18} {f'no: {why}; needs {row.needs}' if why else 'yes'}")
    for name, why in ELSEWHERE.items():
        click.echo(f"  {name:18} no: {why}")
    click.echo("\n--backend auto, in order of preference")
    choice = choose()
    for name, reason in choice.passed_over:
        click.echo(f"  {name:14} passed over: {tell(reason)}")
    others = [] if choice.backend.name in NVIDIA else list(choice.others())
    is_open = "measured for each model" if others else "chosen"
    for backend in (choice.backend, *others):
        click.echo(f"  {backend.name:14} {is_open}: {backend.device}")
    _show_engines()
    click.echo("\nchosen by a trial, once for each question (delete the cache's folder 'choices' to try again)")
    verdicts = read_verdicts()
    for verdict in verdicts:
        click.echo(f"  {', '.join(verdict.question.values())}\n    {verdict}")
    if not verdicts:
        click.echo("  nothing yet: only what can run in several ways is tried, at its first frame")


def _show_engines() -> None:
    """How many there are, and which are not typed the leanest way."""
    from sr_core.storage import cache_path
    from sr_core.wording import count_of
    from trt_build.store import EngineStore

    facts = [entry.facts for entry in EngineStore(cache_path("engines")).entries() if entry.facts is not None]
    click.echo(f"\nTensorRT engines here: {count_of(len(facts), 'engine')} (srkit engines list)")
    for found in facts:
        if found.passed_over or found.fp32_layers:
            kept = (f"{count_of(len(found.fp32_layers), 'layer')} FP32",) if found.fp32_layers else ()
            reasons = (*(f"not {reason}" for reason in found.passed_over), *kept)
            click.echo(
                f"  {found.label} {found.width}x{found.height} {found.key.target}: {found.form}, {', '.join(reasons)}"
            )
