"""What the authors published: Y PSNR in dB by network, scale and set, from the authors' own tables."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

# network -> scale -> (Set5, Set14, B100); None where not printed. Sources: the papers named in sr_zoo/archs/
PUBLISHED: dict[str, dict[int, tuple[float, float | None, float | None]]] = {
    "bicubic": {2: (33.66, 30.24, 29.56), 3: (30.39, 27.55, 27.21), 4: (28.42, 26.00, 25.96)},
    "srcnn": {2: (36.66, 32.45, 31.36), 3: (32.75, 29.30, 28.41), 4: (30.48, 27.50, 26.90)},
    "fsrcnn": {2: (37.00, 32.63, 31.53), 3: (33.16, 29.43, 28.53), 4: (30.71, 27.59, 26.98)},
    "espcn": {3: (33.13, 29.49, None), 4: (30.90, 27.73, None)},
    "vdsr": {2: (37.53, 33.03, 31.90), 3: (33.66, 29.77, 28.82), 4: (31.35, 28.01, 27.29)},
    "drcn": {2: (37.63, 33.04, 31.85), 3: (33.82, 29.76, 28.80), 4: (31.53, 28.02, 27.23)},
    "drrn": {2: (37.74, 33.23, 32.05), 3: (34.03, 29.96, 28.95), 4: (31.68, 28.21, 27.38)},
    "memnet": {2: (37.78, 33.28, 32.08), 3: (34.09, 30.00, 28.96), 4: (31.74, 28.26, 27.40)},
    "srresnet": {4: (32.05, 28.49, 27.58)},
    "srgan": {4: (29.40, 26.02, 25.16)},
    "edsr-baseline": {2: (37.99, 33.57, 32.16), 3: (34.37, 30.28, 29.09), 4: (32.09, 28.58, 27.57)},
    "edsr": {2: (38.11, 33.92, 32.32), 3: (34.65, 30.52, 29.25), 4: (32.46, 28.80, 27.71)},
    "mdsr": {2: (38.11, 33.85, 32.29), 3: (34.66, 30.44, 29.25), 4: (32.50, 28.72, 27.72)},
    "rdn": {2: (38.24, 34.01, 32.34), 3: (34.71, 30.57, 29.26), 4: (32.47, 28.81, 27.72)},
    "rcan": {2: (38.27, 34.12, 32.41), 3: (34.74, 30.65, 29.32), 4: (32.63, 28.87, 27.77)},
    "rrdb": {4: (32.73, 28.99, 27.85)},
}
SETS = ("set5", "set14", "b100")
ARCH_OF = {"drrn": "drrn-b1u25", "rrdb": "esrgan"}  # where the paper's table names it otherwise
SIDE = 48  # input pixels a side when multiply-adds are counted


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A network's figure from its paper, at its cost counted here."""

    model: str
    scale: int
    test_set: str
    psnr_y: float
    macs_per_pixel: float


def published_rows(sets: Sequence[str], *, without: Container[tuple[str, int]]) -> Iterator[PublishedRow]:
    """Every published figure on `sets`, save of the (network, scale) pairs `without`; by scale, then as
    above."""
    for scale in (2, 3, 4):
        for network in (name for name in PUBLISHED if (name, scale) not in without):
            figures = {name: published_psnr(network, scale, name) for name in sets}
            if any(figures.values()):
                macs = macs_of_network(ARCH_OF.get(network, network), scale)
                for test_set, psnr_y in figures.items():
                    if psnr_y is not None:
                        yield PublishedRow(
                            model=network, scale=scale, test_set=test_set, psnr_y=psnr_y, macs_per_pixel=macs
                        )


def macs_of_network(network: str, scale: int) -> float:
    """Multiply-adds per output pixel of a network of the zoo as published, counted by torch without running it."""
    import torch  # here: the figures above are for everybody
    from torch.utils.flop_counter import FlopCounterMode

    from sr_zoo.archs.registry import build_network, find_arch

    with torch.device("meta"):  # no weight is made
        built = build_network(network, scale=scale).eval().to("meta")
    planes = 1 if find_arch(network).color_space == "y" else 3
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(torch.empty(1, planes, SIDE, SIDE, device="meta"))
    return float(counter.get_total_flops()) / 2 / (SIDE * scale) ** 2


def published_psnr(model: str, scale: int, test_set: str) -> float | None:
    """The authors' figure for a model name such as 'fsrcnn-x3' or 'fsrcnn', if there is one."""
    network = model.removesuffix(f"-x{scale}")
    row = PUBLISHED.get(network, {}).get(scale)
    return row[SETS.index(test_set)] if row is not None and test_set in SETS else None
