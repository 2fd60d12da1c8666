"""Every network by name: the table imports nothing until one is built."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from sr_core.errors import BadInput, message_of

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Where a network's class is, and the colours and options its paper used."""

    target: str  # module:class
    color_space: Literal["rgb", "y"] = "rgb"
    options: tuple[tuple[str, Any], ...] = ()
    figure: str = ""  # paper and year, for people


def _arch(target: str, figure: str, color_space: Literal["rgb", "y"] = "rgb", **options: Any) -> Arch:
    return Arch(target=f"sr_zoo.archs.{target}", color_space=color_space, options=tuple(options.items()), figure=figure)


ARCHS: dict[str, Arch] = {
    "nearest": _arch("interpolation:Interpolation", "baseline", kind="nearest"),
    "bilinear": _arch("interpolation:Interpolation", "baseline", kind="bilinear"),
    "bicubic": _arch("interpolation:Interpolation", "baseline (Keys 1981, a = -0.5)", kind="bicubic"),
    "lanczos": _arch("interpolation:Interpolation", "baseline (Duchon 1979, 3 lobes)", kind="lanczos"),
    "srcnn-915": _arch("srcnn:Srcnn", "Dong 2014", "y", sizes=(9, 1, 5)),
    "srcnn-935": _arch("srcnn:Srcnn", "Dong 2016", "y", sizes=(9, 3, 5)),
    "srcnn": _arch("srcnn:Srcnn", "Dong 2016, 9-5-5", "y", sizes=(9, 5, 5)),
    "srcnn-rgb": _arch("srcnn:Srcnn", "Dong 2016, 9-5-5 on RGB", sizes=(9, 5, 5)),
    "fsrcnn": _arch("fsrcnn:Fsrcnn", "Dong 2016", "y"),
    "fsrcnn-s": _arch("fsrcnn:Fsrcnn", "Dong 2016, small", "y", d=32, s=5, m=1),
    "espcn": _arch("espcn:Espcn", "Shi 2016", "y"),
    "vdsr": _arch("vdsr:Vdsr", "Kim 2016", "y"),
    "drcn": _arch("drcn:Drcn", "Kim 2016", "y"),
    "srresnet": _arch("srresnet:SrResNet", "Ledig 2017"),
    "drrn-b1u9": _arch("drrn:Drrn", "Tai 2017", "y", units=9),
    "drrn-b1u25": _arch("drrn:Drrn", "Tai 2017", "y", units=25),
    "edsr-baseline": _arch("edsr:Edsr", "Lim 2017, baseline"),
    "edsr": _arch("edsr:Edsr", "Lim 2017", features=256, blocks=32, scaling=0.1),
    "mdsr": _arch("edsr:Mdsr", "Lim 2017, all scales"),
    "rdn": _arch("rdn:Rdn", "Zhang 2018"),
    "memnet": _arch("memnet:MemNet", "Tai 2017", "y"),
    "srgan": _arch("srgan:SrganGenerator", "Ledig 2017, adversarial"),
    "enhancenet": _arch("enhancenet:EnhanceNet", "Sajjadi 2017"),
    "srfeat": _arch("srfeat:SrFeat", "Park 2018"),
    "esrgan": _arch("esrgan:RrdbNet", "Wang 2018"),
    "rcan": _arch("rcan:Rcan", "Zhang 2018"),
    "subpixel-rgb": _arch("subpixel:SubPixel", "sub-pixel CNN, RGB to RGB", variant="rgb"),
    "subpixel-grey": _arch("subpixel:SubPixel", "sub-pixel CNN, grey to RGB", variant="grey"),
    "subpixel-merge": _arch("subpixel:SubPixel", "sub-pixel CNN, grey to grey, merged", variant="merge"),
    "house": _arch("house:House", "srvid; see swift, clear, fine"),
    "swift": _arch("house:House", "srvid", channels=16, convs=6, activation="prelu"),
    "clear": _arch("house:House", "srvid", channels=32, convs=8),
    "fine": _arch("house:House", "srvid", channels=64, convs=16),
    "restore": _arch("restore:Restore", "srvid, gray stays gray", channels=32, convs=8),
    "vivid": _arch(
        "restore:Restore", "srvid, restore grown", channels=32, convs=16, deeper=16, wide=True, coherent=True
    ),
}


def find_arch(name: str) -> Arch:
    """The table's row for `name`.

    Raises:
        BadInput: no such network; the hint lists them.
    """
    if name not in ARCHS:
        raise BadInput(f"unknown network {name!r}", hint=f"choose one of: {', '.join(sorted(ARCHS))}")
    return ARCHS[name]


def build_network(name: str, *, scale: int, color_space: str = "", **options: Any) -> "nn.Module":
    """Make a network with fresh weights.

    Args:
        colour: 'rgb' or 'y'; empty: what the paper used.
        options: override the table's.
    """
    arch = find_arch(name)
    module, _, class_name = arch.target.partition(":")
    planes = 1 if (color_space or arch.color_space) == "y" else 3
    merged = dict(arch.options) | options
    try:
        network: nn.Module = getattr(import_module(module), class_name)(scale, planes=planes, **merged)
    except (TypeError, ValueError) as error:
        raise BadInput(f"cannot build {name!r} at x{scale}: {message_of(error)}") from error
    return network
