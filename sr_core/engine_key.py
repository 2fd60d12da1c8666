"""What a compiled engine is tied to, and the sidecar that says so on disk.

    ComposedGraph + EngineKey ──EnsureEngine──► BuiltEngine(engine bytes, EngineFacts)
          (sr_core)                (trt_build)              (sr_core.backends.tensorrt)

The builder writes what the runtime reads, and neither may import the other: both import this.

    clear-x4-3f9a….engine    the engine, as TensorRT serialised it
    clear-x4-3f9a….json      EngineFacts: the key field by field, the engine's hash, the measured PSNR

The sidecar is written last. An engine without one was never finished.

TensorRT-RTX plans are tied to the library's exact version and to a compute capability, not to a
GPU, an operating system or a driver. TensorRT plans are tied to all of GPU, OS and version. The
key hashes the graph *before* the FP16 conversion together with the conversion's own version,
because the conversion is a function of the two and its check costs seconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

from sr_core.errors import BadInput, EngineError
from sr_core.frame import Array
from sr_core.records import check, parse_json, record_from

if TYPE_CHECKING:
    from sr_core.backend import ComposedGraph, Precision, Progress

SIDECAR_FORMAT = 1
PORTABLE = "portable"  # one engine for every RTX card from Ampere on
THIS_GPU = "this-gpu"  # the only target of the `tensorrt` library
# What TensorRT-RTX 1.7 accepts as a build target (others are refused by set_compute_capability).
RTX_TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
_DATA_CENTRE_RTX_TARGETS = ("sm80",)  # A100, A30: accepted as a target, but no RTX card
# What `srkit build --all` builds: Turing, Ampere, Ada and Blackwell consumer cards.
SHIPPED_TARGETS = ("sm75", "sm86", "sm89", "sm120")


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """One NVIDIA GPU as its driver describes it."""

    index: int
    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int
    driver: str

    @property
    def target(self) -> str:
        """Its TensorRT-RTX build target, e.g. 'sm89'."""
        major, minor = self.compute_capability
        return f"sm{major}{minor}"

    @property
    def rtx_targets(self) -> tuple[str, ...]:
        """Targets whose TensorRT-RTX plans run on it, the best first; none on sm90 or sm100."""
        if self.target not in RTX_TARGETS:
            return ()
        return (self.target,) if self.target == "sm75" else (self.target, PORTABLE)

    @property
    def libraries(self) -> tuple[str, ...]:
        """TensorRT libraries that run on it, the better first.

        RTX cards start faster with tensorrt_rtx (its plans need no tuning on the card); on
        data-centre cards `tensorrt` is the library NVIDIA makes for them.
        """
        if self.target in _DATA_CENTRE_RTX_TARGETS:
            return ("tensorrt", "tensorrt_rtx")
        return ("tensorrt_rtx", "tensorrt") if self.rtx_targets else ("tensorrt",)


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Every setting of the builder that can change an engine.

    Attributes:
        workspace_bytes: upper bound on the memory an engine may use while it runs; None = no bound.
        optimization_level: 0 to 5, `tensorrt` only (it changes nothing in TensorRT-RTX).
        hardware_compatibility: '' | 'AMPERE_PLUS' | 'SAME_COMPUTE_CAPABILITY', `tensorrt` only:
            plans that run on more than the GPU they were built on, a little slower.
        max_aux_streams: None lets the library decide.
    """

    workspace_bytes: int | None = None
    optimization_level: int = 3
    hardware_compatibility: str = ""
    max_aux_streams: int | None = None

    def __post_init__(self) -> None:
        if self.workspace_bytes is not None and self.workspace_bytes < 1:
            raise BadInput(f"workspace_bytes is {self.workspace_bytes}, expected at least 1")
        if not 0 <= self.optimization_level <= 5:
            raise BadInput(f"optimization_level is {self.optimization_level}, expected 0 to 5")
        if self.hardware_compatibility not in ("", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"):
            raise BadInput(
                f"hardware_compatibility is {self.hardware_compatibility!r}",
                hint="AMPERE_PLUS, SAME_COMPUTE_CAPABILITY or nothing",
            )


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """Everything that decides an engine. Two equal keys may share a file; nothing else may.

    Attributes:
        graph_sha256: hash of the FP32 graph, weights and tile size included (`graph_hash`).
        recipe: version and thresholds of the FP16 conversion (`trt_build.ensure.recipe`).
        precision: 'fp16+fp32', or 'fp32' where the user asked for exactness.
        library, library_version: 'tensorrt_rtx', '1.7.1.116'.
        target: 'sm89', 'portable', or 'this-gpu'.
        gpu_name ... machine: empty for TensorRT-RTX, whose plans do not depend on them.
    """

    graph_sha256: str
    recipe: str
    precision: str
    library: str
    library_version: str
    target: str
    options: BuildOptions = field(default_factory=BuildOptions)
    gpu_name: str = ""
    gpu_compute_capability: str = ""
    gpu_multiprocessors: int = 0
    gpu_memory_bytes: int = 0
    system: str = ""
    machine: str = ""

    @property
    def digest(self) -> str:
        """sha256 of all fields, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def file_stem(self, label: str) -> str:
        """The file name without its ending: `label` is for people, the digest decides."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.") or "model"
        return f"{safe[:60]}-{self.digest[:20]}"

    def differences(self, other: EngineKey) -> list[str]:
        """One line for each field in which `other`, an engine found on disk, differs from self."""
        mine, theirs = _flat(self), _flat(other)
        return [f"{name}: {theirs[name]!r}, expected {mine[name]!r}" for name in mine if mine[name] != theirs[name]]


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """The sidecar of one engine.

    Attributes:
        planes: name, dtype and shape of each input and output of the engine, inputs first.
        form: how the network was typed (`trt_build.forms`): 'lean', 'first', 'careful', or '' in FP32.
        passed_over: a line for each leaner form that failed the check.
        fp32_layers: layers of the network that failed the check in FP16 and went back to FP32.
        psnr_db: lowest PSNR of any output plane against FP32, over the check's images; None
            where nothing was lowered ('fp32').
        peak_activation: largest absolute value of any FP16 tensor.
        checked_by: what ran the FP16 graph for these two numbers.
        final_onnx_sha256: hash of the graph that the builder parsed.
    """

    key: EngineKey
    label: str
    scale: int
    width: int
    height: int
    depth: int
    planes: tuple[tuple[str, str, tuple[int, ...]], ...]
    engine_sha256: str
    engine_bytes: int
    activation_bytes: int
    weights_bytes: int
    build_seconds: float
    final_onnx_sha256: str
    form: str = ""
    passed_over: tuple[str, ...] = ()
    fp32_layers: tuple[str, ...] = ()
    psnr_db: float | None = None
    peak_activation: float = 0.0
    checked_by: str = ""
    built_at: str = ""

    def to_json(self) -> str:
        """The sidecar's text."""
        return json.dumps({"format": SIDECAR_FORMAT, "digest": self.key.digest, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> EngineFacts:
        """Parse and check a sidecar.

        Raises:
            EngineError: it is damaged or of another format; the message says how.
        """
        try:
            data = check(parse_json(text), dict[str, Any])
            if data.pop("format", None) != SIDECAR_FORMAT:
                raise EngineError(f"the sidecar is not of format {SIDECAR_FORMAT}")
            digest = data.pop("digest", None)
            facts = record_from(data, cls)
        except BadInput as error:
            raise EngineError(f"the sidecar is damaged: {error.message}") from error
        if facts.key.digest != digest:
            raise EngineError("the sidecar's key does not have the digest written beside it")
        return facts

    def check_content(self, engine: bytes) -> None:
        """Raise EngineError unless `engine` is byte for byte the engine this sidecar describes."""
        if len(engine) != self.engine_bytes:
            raise EngineError(f"the engine has {len(engine)} bytes, expected {self.engine_bytes}")
        if hashlib.sha256(engine).hexdigest() != self.engine_sha256:
            raise EngineError("the engine's bytes are not those that were written")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Planes of one tile, and what FP32 on the CPU makes of them."""

    given: tuple[Array, ...]
    expected: tuple[Array, ...]
    peak_code: float  # full scale of the samples as stored


@dataclass(frozen=True, kw_only=True)
class BuiltEngine:
    """An engine whose sidecar has been checked.

    Attributes:
        notes: lines for the user ('rebuilt: …').
        reference: computes a Reference for this engine's tile (seconds); asked for once a GPU.
    """

    content: bytes
    facts: EngineFacts
    notes: tuple[str, ...] = ()
    reference: Callable[[], Reference] | None = None


class EnsureEngine(Protocol):
    """Find or build the engine of a graph (`trt_build.ensure_engine`)."""

    def __call__(
        self,
        graph: ComposedGraph,
        *,
        library: str,
        gpu: GpuFacts,
        precision: Precision = "auto",
        progress: Progress | None = None,
    ) -> BuiltEngine: ...


def _flat(key: EngineKey) -> dict[str, object]:
    values: dict[str, object] = {entry.name: getattr(key, entry.name) for entry in fields(key)}
    values.update(asdict(key.options))
    del values["options"]
    return values
