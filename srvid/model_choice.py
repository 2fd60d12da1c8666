"""What `--model` means, and how much it enlarges.

    clear                 a family: the file of the wanted scale; 6, 8, 9, 12 and 16 by two networks of it
    clear-x2, my-anime    one file by its name
    4x_Foo.pth            one file by its path
    clean.pth,clear       a chain: each after the one before, as one network
    restore, 0.6          with a strength: 0.6 of it and 0.4 of `FAITHFUL` in one graph; sharpening comes behind it

A wanted factor that no network gives is made by the next larger one and a resize down: 1.5 by 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from sr_core.errors import BadInput, NotAvailable
from sr_core.model_spec import LARGEST_SCALE, MODEL_SUFFIXES
from sr_core.wording import option

if TYPE_CHECKING:
    from onnx import ModelProto

    from sr_core.graph.chain import Stage
    from sr_core.model_spec import ModelSpec

DEFAULT_SCALE = 4  # of a family, where nobody asks for one
FAITHFUL = "clear"  # what a strength below 1 mixes in: invents nothing, removes nothing


@dataclass(frozen=True)
class LoadedModel:
    """A network by our contract.

    Attributes:
        is_foreign: any part of it did not come with srvid: it is tried on the backend before it is used.
    """

    proto: ModelProto
    spec: ModelSpec
    is_foreign: bool


def load(model: str, *, scale: int | None = None, strength: float = 1.0, sharpen: float = 0.0) -> LoadedModel:
    """Open what `model` names, at `scale`; None takes its own.

    Args:
        strength: below 1, what is left of 1 is made by `FAITHFUL`, at scale 1 by the input itself.
        sharpen: 0 to 1: how much luma is sharpened behind it (`sr_core.graph.sharpen`).

    Raises:
        BadInput: an unreadable file, a folder, another scale than the model's, or no such strength or sharpening.
        NotAvailable: unknown name; a torch file without the `[import]` extra.
    """
    parts = parts_of(model)
    scales = _scales_of_parts(parts)
    choice = _choice_for(scales, scale)
    if choice is None:
        total = _totals(scales)
        raise BadInput(
            f"model {model!r} enlarges {_list_in_words(total)} times, but scale {scale} was asked for",
            hint=f"use {option('scale', total[0])}, or another model",
        )
    from sr_core.graph.chain import chain

    stages, is_foreign = [], False
    for part, wanted in zip(parts, choice, strict=True):
        for step in _steps(part, wanted):
            proto, spec, is_shipped = _load_one(part, step)
            stages.append((proto, spec))
            is_foreign = is_foreign or not is_shipped
    proto, spec = chain(stages)
    if strength != 1.0:
        proto, spec = _weaken(model, (proto, spec), check_share("strength", strength))
    if sharpen != 0.0:
        proto, spec = _sharpened((proto, spec), check_share("sharpen", sharpen))
    return LoadedModel(proto, spec, is_foreign)


def check_share(name: str, share: float) -> float:
    """`share`, what the option `name` is given, if it is one.

    Raises:
        BadInput: it is not within 0..1.
    """
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if not is_number or not 0.0 <= share <= 1.0:
        raise BadInput(f"{option(name)} is a number from 0 to 1, not {share!r}")
    return float(share)


def _sharpened(stage: Stage, amount: float) -> Stage:
    from onnx import ModelProto

    from sr_core.model_spec import with_spec

    proto = ModelProto()
    proto.CopyFrom(stage[0])
    facts = replace(stage[1], name=f"{stage[1].name}+sharpen{amount:g}", sharpen=amount, psnr_y={})
    return with_spec(proto, facts), facts


def _weaken(model: str, stage: Stage, strength: float) -> Stage:
    from sr_core.graph.blend import blend

    scale = stage[1].scale
    if scale == 1:
        return blend(stage, None, strength)
    faithful = load(FAITHFUL, scale=scale)
    if faithful.spec.name == stage[1].name:
        raise BadInput(
            f"{option('strength', strength)} mixes {FAITHFUL} in, and {model} is that",
            hint=f"leave {option('strength')} out, or choose another model",
        )
    return blend(stage, (faithful.proto, faithful.spec), strength)


def parts_of(model: str) -> tuple[str, ...]:
    """The networks of a chain; a path that has a comma in it is one.

    Raises:
        BadInput: a part is empty.
    """
    if "," not in model or Path(model).exists():
        return (model,)
    parts = tuple(part.strip() for part in model.split(","))
    if not all(parts):
        raise BadInput(f"{model!r} names no model between its commas", hint="such as clean.pth,clear")
    return parts


def scales_of(model: str) -> tuple[int, ...]:
    """Every scale that `model` gives without a resize, the smallest first. May import files.

    Raises:
        BadInput, NotAvailable: as `load`.
    """
    return _totals(_scales_of_parts(parts_of(model)))


def engine_scale(model: str, wanted: Fraction | None = None) -> int:
    """The scale to open `model` at, for an output `wanted` times as large; None takes the model's own.

    Raises:
        BadInput: it does not enlarge that much.
    """
    scales = _scales_of_parts(parts_of(model))
    if wanted is None:
        return _own_scale(scales)
    totals = _totals(scales)
    found = next((scale for scale in totals if scale >= wanted), None)
    if found is None:
        raise BadInput(
            f"model {model!r} enlarges {totals[-1]} times at most, not {float(wanted):g}",
            hint=f"put another network behind it: {option('model', f'{model},clear')}",
        )
    return found


def _own_scale(scales: list[tuple[int, ...]]) -> int:
    """Of files their own; of a family 4, or what of 4 the others in the chain leave it."""
    fixed = 1
    for found in scales:
        fixed *= found[0] if len(found) == 1 else 1
    totals = _totals(scales)
    if all(len(found) == 1 for found in scales):
        return totals[0]
    return next((total for total in totals if total >= max(DEFAULT_SCALE, fixed)), totals[-1])


def _scales_of_parts(parts: tuple[str, ...]) -> list[tuple[int, ...]]:
    """For each part, the scales it is here in."""
    return [_scales_of_one(part) for part in parts]


def _scales_of_one(part: str) -> tuple[int, ...]:
    from sr_zoo.models import known_names, scales_of_family

    if not _is_path(part) and part not in known_names() and (single := scales_of_family(part)):
        pairs = {a * b for a, b in product(single, repeat=2) if a * b <= LARGEST_SCALE}
        return tuple(sorted({*single, *pairs}))
    return (_load_one(part, None)[1].scale,)


def _steps(part: str, wanted: int) -> tuple[int, ...]:
    """How often, and at which scales, a part runs: a family of 2, 3 and 4 gives 8 as 4 and 2."""
    from sr_zoo.models import known_names, scales_of_family

    if _is_path(part) or part in known_names():
        return (wanted,)
    single = scales_of_family(part)
    if wanted in single or not single:
        return (wanted,)
    return next((a, b) for a, b in product(sorted(single, reverse=True), repeat=2) if a * b == wanted)


def _totals(scales: list[tuple[int, ...]]) -> tuple[int, ...]:
    totals = {1}
    for found in scales:
        totals = {total * scale for total in totals for scale in found}
    return tuple(sorted(total for total in totals if total <= LARGEST_SCALE)) or (max(totals),)


def _choice_for(scales: list[tuple[int, ...]], wanted: int | None) -> tuple[int, ...] | None:
    """A scale for each part, whose product is `wanted`; the last parts enlarge most."""
    wanted = _own_scale(scales) if wanted is None else wanted
    for choice in product(*scales):
        total = 1
        for scale in choice:
            total *= scale
        if total == wanted:
            return choice
    return None


def _is_path(part: str) -> bool:
    return part.lower().endswith(MODEL_SUFFIXES) or "/" in part or "\\" in part


def _load_one(part: str, scale: int | None) -> tuple[ModelProto, ModelSpec, bool]:
    """(network, facts, whether it came with srvid) of one file."""
    from sr_core.model_spec import load_model, spec_of
    from sr_zoo.importing import imported_model
    from sr_zoo.models import find_model, weights_dir
    from sr_zoo.other_formats import other_format_of

    if _is_path(part):
        path = imported_model(Path(part))
    else:
        try:
            path = find_model(part, scale=scale)
        except NotAvailable as error:
            if not part or not Path(part).exists():
                raise
            if Path(part).is_file() and (other := other_format_of(Path(part))) is not None:
                raise other from error
            kind = "a folder" if Path(part).is_dir() else f"a file that does not end in {', '.join(MODEL_SUFFIXES)}"
            raise BadInput(f"{part} is {kind}, and no model is called so", hint=error.unspelled_hint) from error
    proto = load_model(path)
    spec = spec_of(proto)
    if spec is None:
        raise AssertionError(f"{path} passed import without a spec")
    return proto, spec, path.resolve().parent == weights_dir().resolve()


def _list_in_words(scales: tuple[int, ...]) -> str:
    return str(scales[0]) if len(scales) == 1 else f"{', '.join(map(str, scales[:-1]))} or {scales[-1]}"
