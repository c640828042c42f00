"""What `experiments/speed/inference.py` measures, each in a process of its own: python measures.py '{"kind": ...}'"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

LEVELS = 255


def made_frame(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (height, width, 3): smooth colours and noise; a network takes as long for it as for a photo."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 31 + c + seed) + np.cos(y / (23 + c)) for c in range(3)], axis=-1)
    return ((waves + random.normal(0, 0.2, waves.shape) + 2) * 63).clip(0, 255).astype(np.uint8)


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after two that compile and warm up."""
    seconds = []
    for number in range(repeats + 2):
        started = time.perf_counter()
        work()
        if number >= 2:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def eager(height: int, width: int, repeats: int, device: str = "cpu") -> dict:
    """The Johnson network as pytorch/examples runs it: fp32, NCHW, eager, a frame to a tensor and back.

    The architecture is the same (1,679,235 parameters); weights do not change the speed.
    """
    import torch

    from fst import images
    from fst.networks import build

    network = build("johnson").eval().to(device)
    frame = made_frame(height, width)

    @torch.no_grad()
    def work() -> np.ndarray:
        return images.to_pixels(network(images.to_tensor(frame).contiguous().to(device)))

    found = {"seconds": median_seconds(work, repeats)}
    if device == "cuda":
        found["memory"] = torch.cuda.max_memory_allocated() / 1e6
    return found


def paint(style: str, height: int, width: int, repeats: int, backend: str, precision: str) -> dict:
    """A Stylizer: one frame at a time as for a camera, and a stream of frames as for a film."""
    stylizer = _stylizer(style, backend, precision, live=True)
    frame = made_frame(height, width)
    seconds = median_seconds(lambda: stylizer(frame), repeats)
    painted = stylizer.stream(frame for _ in range(repeats + 3))
    for _ in range(3):
        next(painted)
    started = time.perf_counter()
    count = sum(1 for _ in painted)
    chosen = getattr(stylizer._backend, "precision", "f32")
    shown = "int8" if precision == "int8" else chosen
    return {"seconds": seconds, "fps": count / (time.perf_counter() - started), "precision": shown}


def prepare(style: str, backend: str, precision: str) -> dict:
    """Open a style once: making its graph takes torch, which the rows after it are then rid of."""
    _stylizer(style, backend, precision)
    return {}


def film(style: str, clip: str, precision: str) -> dict:
    """A clip with sound painted from file to file, decoding, encoding and the start of both included."""
    from fst.media.video.paint_video import paint_video

    stylizer = _stylizer(style, "auto", precision)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "painted.mp4")
        started = time.perf_counter()
        paint_video(clip, target, stylizer)
        seconds = time.perf_counter() - started
        import av

        with av.open(str(target)) as painted:
            assert painted.streams.audio, "the sound was lost"
            frames = sum(1 for _ in painted.demux(video=0)) - 1  # the last packet is empty
    return {"seconds": seconds / frames, "fps": frames / seconds}


def film_parts(style: str, clip: str, precision: str) -> dict:
    """Core-milliseconds a frame of a film, by part: processor time of all threads, which neighbours hardly change."""
    import av

    from fst.media.video import colour
    from fst.media.video.decode import VideoReader
    from fst.media.video.encode import VideoWriter
    from fst.media.video.paint_video import paint_video
    from fst.stylize import framing

    stylizer = _stylizer(style, "auto", precision)
    converter = colour.Converter()

    def decoded() -> int:
        with av.open(clip) as container:
            container.streams.video[0].thread_type = "AUTO"
            return sum(1 for _ in container.decode(video=0))

    def read() -> list:
        film = VideoReader(clip, stylizer.takes_planes)
        return [frame.pixels for frame in film]

    def written() -> None:
        with VideoWriter(Path(folder, "a.mp4"), width=width, height=height, rate=24, colour=kind) as writer:
            for frame in painted:
                writer.write(frame)

    def encoder_frames() -> None:
        for frame in painted:
            converter.from_planes(frame) if planar else converter.from_rgb(frame, kind)

    with tempfile.TemporaryDirectory() as folder:
        count = decoded()
        frames = read()
        planar = not isinstance(frames[0], np.ndarray)
        height, width = frames[0].shape[:2]
        kind = colour.Colour()
        painted = list(stylizer.stream(frames))
        backend, working = stylizer._backend, framing.working(frames[0], None, framing.MARGIN)
        matrix = working.matrix if planar else None
        request = backend._compile(backend._padded(working).shape, "THROUGHPUT", matrix).create_infer_request()
        cost = {
            "decoding": _core_seconds(decoded),
            "frames out of the decoder": _core_seconds(read),
            "network": _core_seconds(lambda: [request.infer() for _ in range(count)]),
            "margin, frames into the graph and out": _core_seconds(lambda: sum(1 for _ in stylizer.stream(frames))),
            "frames into the encoder": _core_seconds(encoder_frames),
            "encoding": _core_seconds(written),
            "everything": _core_seconds(lambda: paint_video(clip, Path(folder, "b.mp4"), stylizer, overwrite=True)),
        }
    cost["frames out of the decoder"] -= cost["decoding"]
    cost["margin, frames into the graph and out"] -= cost["network"]
    cost["encoding"] -= cost["frames into the encoder"]
    cost["threads, sound, the rest"] = 2 * cost["everything"] - sum(cost.values())
    cost["everything"] = cost.pop("everything")
    return {"parts": {name: seconds / count * 1000 for name, seconds in cost.items()}}


def _core_seconds(work: Callable[[], object], times: int = 3) -> float:
    """Processor time of a call, in all threads: the least of a few after one that warms up."""
    spent = []
    for _ in range(times + 1):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent[1:])


def webcam(style: str, clip: str, precision: str, seconds: float) -> dict:
    """The live loop at 640×480: a camera of 60 frames a second, painted, mirrored, ready to be shown.

    "glass": the median time from the moment the camera hands over a frame until its painting is there.
    """
    import cv2

    from fst.config.infer import WebcamConfig
    from fst.media.live import camera as cameras

    opened, seen, delays = cameras._open, 0, []
    captures = []

    def paced(*arguments: object) -> PacedCapture:
        captures.append(PacedCapture(opened(*arguments)))
        return captures[-1]

    cameras._open = paced
    stylizer = _stylizer(style, "auto", precision, live=True)
    with cameras.Camera(WebcamConfig(device=clip)) as camera:
        stylizer(camera.first())
        end = time.perf_counter() + seconds
        started = time.perf_counter()
        while time.perf_counter() < end:
            found = camera.newest(seen)
            if found is None:
                continue
            seen, frame = found
            cv2.cvtColor(stylizer(cv2.flip(frame, 1)), cv2.COLOR_RGB2BGR)
            delays.append(time.perf_counter() - captures[0].handed_over[seen])
        taken = time.perf_counter() - started
    return {"seconds": taken / len(delays), "fps": len(delays) / taken, "glass": statistics.median(delays)}


def fading(height: int, width: int, seconds: float, rounds: int = 5) -> dict:
    """Frames a second of a live session in styles of the bundled network of many, at rest and while styles fade.

    As many as it can, one after the other; rest and fade in turns, medians of the rounds. A fade takes half a second,
    and the next begins when it ends.
    """
    from fst.config.infer import InferConfig
    from fst.media.live.style_loader import FADE_SECONDS, LivePainter, StyleLoader
    from fst.stylize.styles import live_styles

    names = live_styles(["gogh", "seurat", "kandinsky"])
    loader = StyleLoader(names, lambda style: _stylizer(style, "auto", "auto", live=True))
    loaded = [loader.choose(index).result() for index in range(len(names))]
    painter, frame = LivePainter(InferConfig(stabilize="none"), loader, loaded[0]), made_frame(height, width)

    def rate(fades: bool) -> float:
        started, frames, begun = time.perf_counter(), 0, 0
        while (passed := time.perf_counter() - started) < seconds:
            if fades and passed >= begun * FADE_SECONDS:
                painter.state.apply("next")
                begun += 1
            painter.follow()
            painter.paint(frame)
            frames += 1
        return frames / passed

    rate(False)  # compiles
    measured = []
    for _ in range(rounds):
        measured.append((rate(False), rate(True)))
        time.sleep(FADE_SECONDS)  # until the last fade has ended
    rest, faded = (statistics.median(of) for of in zip(*measured, strict=True))
    loader.close()
    return {"rest": rest, "fading": faded, "share": statistics.median(fade / rest for rest, fade in measured)}


class PacedCapture:
    """A file in a camera's place: 60 frames a second, and when each was handed over."""

    RATE = 60

    def __init__(self, capture: object) -> None:
        self.capture, self.due = capture, time.perf_counter()
        self.handed_over = [0.0]  # a camera counts its frames from 1

    def get(self, what: int) -> float:
        return 240.0  # the Camera's own pacing is not needed

    def read(self) -> tuple[bool, np.ndarray | None]:
        good, frame = self.capture.read()
        if good:
            self.due = max(self.due + 1 / self.RATE, time.perf_counter() - 0.1)
            time.sleep(max(0.0, self.due - time.perf_counter()))
            self.handed_over.append(time.perf_counter())
        return good, frame

    def __getattr__(self, name: str) -> object:
        return getattr(self.capture, name)


def start(style: str, height: int, width: int) -> dict:
    """What a start of infer.py does until the first frame is painted; the parent takes the whole process's time."""
    stylizer = _stylizer(style, "auto", "auto", live=True)
    stylizer(made_frame(height, width))
    return {"torch": "torch" in sys.modules}


def agreement(style: str, photos: list[str], edge: int, ways: list[list[str]]) -> dict:
    """Mean and least PSNR in dB of backends and precisions against torch in fp32, on photos."""
    from fst import images

    frames = []
    for path in photos:
        pixels = images.read(path)
        frames.append(images.resize(pixels, images.fit_long_edge(*pixels.shape[:2], edge)))
    reference = _stylizer(style, "torch", "auto")
    expected = [reference(frame).astype(float) for frame in frames]
    found = {}
    for backend, precision in ways:
        stylizer = _stylizer(style, backend, precision)
        errors = [np.mean((stylizer(frame) - wanted) ** 2) for frame, wanted in zip(frames, expected, strict=True)]
        levels = [10 * np.log10(LEVELS**2 / max(error, 1e-9)) for error in errors]
        found[f"{backend} {precision}"] = {"mean": float(np.mean(levels)), "least": float(min(levels))}
    return {"psnr": found}


def make_clip(source: str | None, target: Path, height: int, width: int, seconds: float) -> None:
    """A clip of that size with sound: of a film where one is given, else of made frames and a tone. 24 a second."""
    import av

    rate = 24
    with av.open(str(target), "w") as out:
        video = out.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = out.add_stream("aac", rate=48000, layout="mono")
        for number, frame in zip(range(int(rate * seconds)), _frames(source, height, width), strict=False):
            out.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            if number % rate == 0:
                wave = np.sin(np.arange(48000) * 440 / 48000 * 2 * np.pi) * 0.2
                piece = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
                piece.sample_rate, piece.pts = 48000, number // rate * 48000
                out.mux(sound.encode(piece))
        out.mux(video.encode())
        out.mux(sound.encode())


def _frames(source: str | None, height: int, width: int) -> Iterator[np.ndarray]:
    from fst import images

    if source is None:
        number = 0
        while True:
            yield made_frame(height, width, number % 8)
            number += 1
    import av

    while True:
        with av.open(source) as film:
            for frame in film.decode(video=0):
                yield images.resize(frame.to_ndarray(format="rgb24"), (height, width))


def _stylizer(style: str, backend: str, precision: str, live: bool = False):
    from fst.stylize import Stylizer

    return Stylizer.load(style, backend=backend, precision=precision, live=live)


def peak_memory() -> float:
    """The largest resident memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says on Linux includes the parent's memory at the fork
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


KINDS = {work.__name__: work for work in (eager, prepare, paint, film, film_parts, webcam, fading, start, agreement)}

if __name__ == "__main__":
    words = json.loads(sys.argv[1])
    result = KINDS[words.pop("kind")](**words)
    print(json.dumps({"memory": peak_memory() / 1e6, **result}))
