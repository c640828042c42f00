"""The OpenVINO backend, the default on CPUs: uint8 frames in and out, everything between inside one compiled graph.

A film's frames may stay the planes that its codec has: the conversion of colours is then part of the first and the last
convolution (`fst.stylize.planar`), in a graph of its own for each kind of film. A graph is made from the torch network
once and kept (`fst.stylize.cache`); after that torch is not imported again.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import sys
import threading
import timeit
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fst.errors import UserError
from fst.stylize.backend import Traits
from fst.stylize.cache import made_once
from fst.stylize.framing import pad
from fst.stylize.many import Style
from fst.stylize.planes import CHANNELS, Matrix, Planes, folded, unfolded

# OpenVINO does without its converter. Importing that takes a fifth of a second, and tells Intel that it was imported.
_CONVERTER = "openvino.tools.ovc"
_left_out = sys.modules.setdefault(_CONVERTER, None) is None
import openvino as ov  # noqa: E402

if _left_out:
    del sys.modules[_CONVERTER]

if TYPE_CHECKING:
    from fst.networks import Network

IN_FLIGHT = 2  # frames of a stream being painted at once, each on its share of the cores
COMPILED = 4_000_000  # pixels of the largest picture that has a graph of its own shape
# Of a picture; whether in 8 bits, and whether the network has features as large as the picture.
BYTES_PER_PIXEL = {(True, False): 60, (True, True): 220, (False, False): 70, (False, True): 310}
SHAPES_KEPT = 4  # compiled graphs of a fixed shape; the one least recently used goes first
GRAPH, EIGHT_BITS, FACTS = "network.xml", "int8.xml", "facts.json"
TRIAL = (256, 256, 3)


@functools.cache
def core() -> ov.Core:
    """OpenVINO's CPU, one for the process and to its end.

    Each Core moves the process's signal stack (sigaltstack) into memory of its own and back when it goes. Of two, the
    one that came first must not go first: the next signal, Ctrl-C too, would be handled in memory that is freed.
    """
    return ov.Core()


class OpenVinoBackend:
    """A style's network as OpenVINO graphs: one for any shape, and faster ones for shapes that come again.

    A camera's frames are `live`: their shape is compiled at once. `precision` is as `fst.stylize.Stylizer.load`'s.

    Raises:
        UserError: bf16 on a processor without it; int8 of a style file without ranges.
    """

    streamed = IN_FLIGHT

    def __init__(self, style: Style, *, live: bool = False, precision: str = "auto") -> None:
        if precision == "bf16" and not has_bf16():
            raise UserError("precision=bf16: this processor has no bf16 instructions; omit precision=")
        self.style, self.live = style, live
        self.folder = self._made(None)
        facts = json.loads((self.folder / FACTS).read_text())
        self.traits = Traits(**facts["traits"])
        self.precision = facts["precision"] if precision == "auto" else precision
        self.float_precision = facts["float_precision"]  # of what is not in 8 bits
        if self.precision == "int8" and not (self.folder / EIGHT_BITS).exists():
            raise UserError(
                f"precision=int8: {style.path.name} has no 8-bit ranges; measure them with "
                f"python -m fst.stylize.ranges {style.path} PHOTOS, or omit precision="
            )
        self.bytes_per_pixel = BYTES_PER_PIXEL[self.precision == "int8", self.traits.full_resolution]
        if precision == "auto" and self.precision == "int8":
            _say_once(self.folder, style)
        self.takes_planes = facts["planes"]
        self.last_shape: tuple[int, ...] | None = None
        self.compiled = functools.lru_cache(SHAPES_KEPT)(_compiled)
        self.lock = threading.Lock()  # an infer request paints one frame at a time

    def _made(self, matrix: Matrix | None) -> Path:
        """The folder of the style's graphs: for RGB frames, or for films of a matrix."""
        asked = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
        here = [ov.__version__, *(core().get_property("CPU", name) for name in asked), matrix]
        what, sources = f"preparing style '{self.style.name}' for openvino", (repr(here).encode(), self.style.path)
        return made_once(what, "openvino", sources, lambda folder: _make(self.style, folder, matrix))

    def stylize(self, frame: np.ndarray, vector: np.ndarray | None) -> np.ndarray:
        padded = self._padded(frame)
        with self.lock:
            # Compiling takes longer than painting a small photo: only a shape that comes twice is worth it, and a large
            # one is not: either graph keeps its memory.
            fixed = self.live or (padded.shape == self.last_shape and padded.size <= 3 * COMPILED)
            self.last_shape = padded.shape
            request = self._compile(padded.shape if fixed else None, "LATENCY").create_infer_request()
            request.infer(_inputs(padded, vector), share_inputs=True)
            return self._result(request, frame)

    def stream(self, frames: Iterable[tuple[np.ndarray | Planes, np.ndarray | None]]) -> Iterator[np.ndarray | Planes]:
        """Two frames at once, each on half of the cores: fewer hand-overs between cores than two in turn on all."""
        busy: deque[tuple[ov.InferRequest, np.ndarray | Planes]] = deque()
        kind = None
        for frame, vector in frames:
            padded, matrix = self._padded(frame), frame.matrix if isinstance(frame, Planes) else None
            if (padded.shape, matrix) != kind:
                kind = padded.shape, matrix
                compiled = self._compile(padded.shape, "THROUGHPUT", matrix)
                requests = itertools.cycle([compiled.create_infer_request() for _ in range(IN_FLIGHT)])
            if len(busy) == IN_FLIGHT:
                yield self._result(*busy.popleft())
            request = next(requests)  # the one that has been waited for
            request.start_async(_inputs(padded, vector), share_inputs=True)
            busy.append((request, frame))
        while busy:
            yield self._result(*busy.popleft())

    def _padded(self, frame: np.ndarray | Planes) -> np.ndarray:
        padded = pad(frame, self.traits)
        return folded(padded) if isinstance(padded, Planes) else np.ascontiguousarray(padded)

    def _result(self, request: ov.InferRequest, frame: np.ndarray | Planes) -> np.ndarray | Planes:
        request.wait()
        height, width = frame.shape[:2]
        painted = request.get_output_tensor().data[0]
        if isinstance(frame, Planes):
            return unfolded(painted, frame.matrix).cropped(0, 0, height, width)
        return painted[:height, :width].copy()  # the next request writes there again

    def _compile(self, shape: tuple[int, ...] | None, hint: str, matrix: Matrix | None = None) -> ov.CompiledModel:
        graph, floats = (EIGHT_BITS, self.float_precision) if self.precision == "int8" else (GRAPH, self.precision)
        settings = [("PERFORMANCE_HINT", hint), ("INFERENCE_PRECISION_HINT", floats)]
        if hint == "THROUGHPUT":
            settings.append(("NUM_STREAMS", str(IN_FLIGHT)))
        if shape is None or self.live:  # what a start begins with; the shapes of all photos would fill the disk
            settings.append(("CACHE_DIR", str(self.folder)))
        folder = self.folder if matrix is None else self._made(matrix)
        return self.compiled(folder / graph, shape or (-1, -1, 3), *settings)


def _compiled(graph: Path, shape: tuple[int, ...], *settings: tuple[str, str]) -> ov.CompiledModel:
    model = core().read_model(graph)
    model.reshape({model.input(0): [1, *shape]})
    return core().compile_model(model, "CPU", dict(settings))


def _inputs(frame: np.ndarray, vector: np.ndarray | None) -> list[np.ndarray]:
    return [frame[None]] if vector is None else [frame[None], np.ascontiguousarray(vector)[None]]


def _say_once(folder: Path, style: Style) -> None:
    """Say that 8 bits are used, the first time that a style's graphs are."""
    with contextlib.suppress(OSError):
        (folder / "said").touch(exist_ok=False)
        near = f"{style.info.int8['psnr']:.0f} dB from 32 bits, which nobody sees"
        print(f"style '{style.name}' paints in 8 bits here ({near}); precision=f32 turns that off", file=sys.stderr)


def _make(style: Style, folder: Path, matrix: Matrix | None) -> None:
    """Write a style's graphs to a folder: for films of a matrix; for RGB frames with what must be known of them."""
    from fst.stylize import ranges
    from fst.stylize.planar import planar, takes_planes
    from fst.stylize.rewrite import faster

    network = style.shared()
    quick = faster(network)
    planes = takes_planes(quick)
    inputs = ranges.usable(style.info.int8)
    depth = 3
    if matrix is not None:
        quick, depth = planar(quick, matrix), CHANNELS
        first = next(iter(ranges.convolutions(network)))
        inputs = inputs and inputs | {first: (0, 1)}  # planes are in 8 bits already
    _write(quick, folder / GRAPH, depth)
    if inputs:
        _write(ranges.in_8_bits(network, inputs, quick), folder / EIGHT_BITS, depth)
    if matrix is not None:
        return
    facts = {"traits": asdict(Traits.of(network)), "planes": planes, "float_precision": None}
    facts["precision"] = _fastest_precision(folder / GRAPH)
    if inputs:
        facts["float_precision"] = _fastest_precision(folder / EIGHT_BITS)
        if has_int8() and style.info.int8["psnr"] >= ranges.ENOUGH:
            facts["precision"] = "int8"
    (folder / FACTS).write_text(json.dumps(facts))


def _write(network: Network, graph: Path, depth: int) -> None:
    from fst.stylize.graph import write_frames

    exchange = graph.with_suffix(".onnx")
    write_frames(network, exchange, depth)
    ov.save_model(core().read_model(exchange), graph, compress_to_fp16=False)
    exchange.unlink()


def has_int8() -> bool:
    """Whether this processor has instructions that add up products of 8-bit numbers exactly (VNNI, AMX).

    Those without round sums to 16 bits on the way. Where the system does not tell, False.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_vnni", "avx_vnni", "amx_int8"))


def has_bf16() -> bool:
    """Whether this processor has bf16 instructions."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _fastest_precision(graph: Path) -> str:
    """bf16 or f32, by the clock: some processors have bf16 instructions that are slower than their f32 ones."""
    if not has_bf16():
        return "f32"

    def seconds(precision: str) -> float:
        compiled = _compiled(graph, TRIAL, ("PERFORMANCE_HINT", "LATENCY"), ("INFERENCE_PRECISION_HINT", precision))
        vectors = [np.ones(list(vector.shape), np.float32) for vector in compiled.inputs[1:]]
        inputs, request = [np.zeros((1, *TRIAL), np.uint8), *vectors], compiled.create_infer_request()
        return min(timeit.repeat(lambda: request.infer(inputs), number=1, repeat=5))

    return min("bf16", "f32", key=seconds)
