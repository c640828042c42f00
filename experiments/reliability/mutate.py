"""Give the programs damaged and made-up inputs: python -m experiments.reliability.mutate [--times 2000] [--kinds films]

Every input is a good one with bits flipped, cut, a length or another field replaced, or something else under its name.
Of each program is asked: no traceback, no crash, no more than 30 s, no more than 4 GB, no line of error more than one,
no file begun and left, and no result but a whole one.
"""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import safetensors.torch
import torch
from omegaconf import OmegaConf
from PIL import Image

from experiments.reliability import common
from experiments.reliability.common import SPARE, Program, gatys, leftovers, tiny
from fst.losses.weights import SMALL_WEIGHTS
from fst.runfolder import CHECKPOINT, CONFIG, METRICS, RUN

# What is given, and its share of --times.
KINDS = {"photos": 0.25, "films": 0.15, "styles": 0.15, "checkpoints": 0.1, "weights": 0.075, "paintings": 0.075}
KINDS |= {"configs": 0.1, "commands": 0.1}
WHAT = "flipped bits, cut, lengths that lie, wrong types"
GOAL = "no traceback, no crash, no hang over 30 s, no more than 4 GB, no half-written file"
WILD = (-1, 0, 1e30, 10**12, 2**63, float("nan"), "", "x", "../..", "\0", None, True, [], [[]], {}, {"a": {"b": []}})


class Attempt:
    """One input that was made wrong, and the program that is to take it.

    Args:
        kind: of KINDS.
        sources: the folder of good inputs.
        at: an empty folder.
        chance: decides everything, so that a seed says it again.
    """

    def __init__(self, kind: str, sources: Path, at: Path, chance: random.Random) -> None:
        self.kind, self.sources, self.at, self.chance = kind, sources, at, chance
        self.how = ""
        self.result: Path | None = None  # what the program writes, where that is one file

    def run(self) -> str | None:
        """What went wrong, or None."""
        name, arguments = getattr(self, self.kind)()
        end = Program(name, arguments, self.at, memory=SPARE).wait()
        if end.fault:
            return f"{end.fault} ({self.how}; {name} {' '.join(arguments)})"
        if left := leftovers(self.at):
            return f"{left[0]} is left ({self.how})"
        if self.result is not None and self.result.exists() and (end.status or not _whole(self.result)):
            return f"half a result ({self.how})"
        return None

    def photos(self) -> tuple[str, list[str]]:
        self.result = self.at / "out.png"
        source = self._mutated(self._any("pictures"))
        return "infer", [f"source={source}", *self._paint(), f"output={self.result}"]

    def films(self) -> tuple[str, list[str]]:
        source = self._mutated(self._any("films"))
        self.result = self.at / f"out{source.suffix}"
        return "infer", [f"source={source}", *self._paint(), f"output={self.result}"]

    def styles(self) -> tuple[str, list[str]]:
        self.result = self.at / "out.png"
        good = self.sources / "tiny.safetensors"
        style = self._mutated(good, self._header if self.chance.random() < 0.7 else None)
        if self.chance.random() < 0.2:
            return "train", tiny(self.sources, method__init_from=style, trainer__max_steps=1)
        return "infer", [f"source={self.sources}/photo.png", f"style={style}", "backend=torch", f"output={self.result}"]

    def checkpoints(self) -> tuple[str, list[str]]:
        if self.chance.random() < 0.3:
            self.result = self.at / "out.png"
            style = self._mutated(self.sources / "run" / CHECKPOINT)
            paint = [f"style={style}", "backend=torch", f"output={self.result}"]
            return "infer", [f"source={self.sources}/photo.png", *paint]
        run = self._copied()
        self._mutated(run / CHECKPOINT, at=run / CHECKPOINT)
        return "train", [f"resume={run}", "trainer.max_steps=5"]

    def weights(self) -> tuple[str, list[str]]:
        weights = self._mutated(self._any("weights"))
        return "train", tiny(self.sources, loss__weights=weights, trainer__max_steps=1)

    def paintings(self) -> tuple[str, list[str]]:
        painting = self._mutated(self._any("pictures"))
        if self.chance.random() < 0.3:
            return "train", gatys(self.sources, style__image=painting, method__iterations=1)
        return "train", tiny(self.sources, style__image=painting, trainer__max_steps=1)

    def configs(self) -> tuple[str, list[str]]:
        run = self._copied()
        name = self.chance.choice([CONFIG, CONFIG, CONFIG, RUN, METRICS])
        self._mutated(run / name, self._fields if name != METRICS else None, at=run / name)
        return "train", [f"{self.chance.choice(['resume', 'rerun'])}={run}", "trainer.max_steps=5"]

    def commands(self) -> tuple[str, list[str]]:
        if self.chance.random() < 0.4:
            words = [f"source={self.sources}/photo.png", *self._paint(), "output=out.png", "size=32", "strength=0.5"]
            words += ["quality=80", "colors=content", "stabilize=null", "precision=f32", "codec=null"]
            return "infer", self._words(words)
        more = {"method": "feedforward", "trainer__max_steps": 1, "seed": 3, "content": "null"}
        words = self.chance.choice([tiny(self.sources, **more), gatys(self.sources, method__iterations=1, seed=3)])
        return "train", self._words(words)

    def _words(self, words: list[str]) -> list[str]:
        """A command line with one to three words that are wrong."""
        for _ in range(self.chance.randint(1, 3)):
            place = self.chance.randrange(len(words))
            key, _, value = words[place].partition("=")
            wild = str(self.chance.choice(WILD)).replace("\0", "\\0")
            cut = value[: self.chance.randint(0, len(value))]
            odd = [f"{key}={wild}", f"{key}={cut}", f"{key}=[{value}", f"{key}={value},{value}", f"+{key}={value}"]
            odd += [f"~{key}", f"{key}.x=1", key, f"{key}=${{x}}", f"{key}={{a:1}}", f"{key[:-1]}={value}"]
            words[place] = self.chance.choice(odd)
        return words

    def _paint(self) -> list[str]:
        return [f"style={self.sources}/tiny.safetensors", "backend=torch"]

    def _any(self, folder: str) -> Path:
        return self.chance.choice(sorted((self.sources / folder).iterdir()))

    def _copied(self) -> Path:
        return Path(shutil.copytree(self.sources / "run", self.at / "run"))

    def _mutated(self, good: Path, own: Callable[[bytes], bytes] | None = None, at: Path | None = None) -> Path:
        """A copy that is wrong: by the way of its format, else by that of bytes."""
        content = good.read_bytes()
        ways = [own] if own else [self._flip, self._flip, self._cut, self._lie, self._lie, self._move, self._other]
        way = self.chance.choice(ways)
        self.how = f"{good.name} {way.__name__.strip('_')}"
        path = at or self.at / f"in{good.suffix}"
        path.write_bytes(way(content))
        return path

    def _flip(self, content: bytes) -> bytes:
        wrong = bytearray(content)
        near = len(content) if self.chance.random() < 0.5 else min(len(content), 200)  # half of the time in the head
        for _ in range(self.chance.randint(1, 8)):
            wrong[self.chance.randrange(near)] ^= 1 << self.chance.randrange(8)
        return bytes(wrong)

    def _cut(self, content: bytes) -> bytes:
        return content[: self.chance.randrange(len(content))]

    def _lie(self, content: bytes) -> bytes:
        """Four bytes in a row, as most formats write a length, that say something else."""
        near = len(content) if self.chance.random() < 0.3 else min(len(content), 400)
        place = self.chance.randrange(max(1, near - 4))
        value = self.chance.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000, 0x00FFFFFF, self.chance.getrandbits(32)])
        return content[:place] + struct.pack(self.chance.choice("<>") + "I", value) + content[place + 4 :]

    def _move(self, content: bytes) -> bytes:
        first, last = sorted(self.chance.randrange(len(content) + 1) for _ in range(2))
        piece = content[first:last]
        return self.chance.choice([content[:first] + content[last:], content[:last] + piece + content[last:]])

    def _other(self, content: bytes) -> bytes:
        """Something else under its name."""
        others = [b"", b"\0" * 4096, b"<html><body>Sign in</body></html>", b"{}", b"[1, 2", self.chance.randbytes(3000)]
        others += [self._any("pictures").read_bytes(), (self.sources / "tiny.safetensors").read_bytes()]
        others += [self._any("films").read_bytes(), (self.sources / "run" / CHECKPOINT).read_bytes()]
        return self.chance.choice(others)

    def _header(self, content: bytes) -> bytes:
        """A style file whose header says something else."""
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        if self.chance.random() < 0.7:
            info = json.loads(header["__metadata__"]["fst"])
            header["__metadata__"]["fst"] = json.dumps(self._wild(info))
        else:
            header = self._wild(header)
        written = json.dumps(header).encode()
        return struct.pack("<Q", len(written)) + written + content[8 + length :]

    def _fields(self, content: bytes) -> bytes:
        """YAML or JSON with another value somewhere."""
        found = OmegaConf.to_container(OmegaConf.create(content.decode()))
        wrong = self._wild(found)
        return json.dumps(wrong).encode()

    def _wild(self, tree: dict) -> dict:
        """A tree of dicts with one to three values that are wrong, or keys that are gone or new."""
        for _ in range(self.chance.randint(1, 3)):
            node = tree
            while inner := [value for value in node.values() if isinstance(value, dict) and value]:
                if self.chance.random() < 0.3:
                    break
                node = self.chance.choice(inner)
            if not node:
                continue
            key = self.chance.choice(sorted(node))
            value = node.pop(key)
            if isinstance(value, int | float) and self.chance.random() < 0.4:
                node[key] = value * self.chance.choice([-1, 10, 1000, 10**9])
            elif isinstance(value, list) and value and self.chance.random() < 0.4:
                node[key] = self.chance.choice(
                    [value * 100, [copy.deepcopy(self.chance.choice(WILD))], value[:-1], [7] * 10**3]
                )
            elif self.chance.random() < 0.8:
                node[key if self.chance.random() < 0.9 else "new"] = copy.deepcopy(self.chance.choice(WILD))
        return tree


def _whole(path: Path) -> bool:
    """Whether a result can be read to its end by another program than fst."""
    try:
        if path.suffix in (".mp4", ".mkv", ".webm"):
            with av.open(str(path)) as film:
                return sum(1 for _ in film.decode(video=0)) > 0
        with Image.open(path) as image:
            image.load()
        return True
    except (OSError, av.FFmpegError):
        return False


def make_sources(folder: Path) -> None:
    """Good inputs of each kind, small."""
    common.style_file(folder)
    generator = np.random.default_rng(0)
    small = generator.integers(0, 255, (6, 8, 4)).astype(np.uint8)
    picture = Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC)
    picture.putalpha(Image.new("L", picture.size, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures, films, weights = (folder / name for name in ("pictures", "films", "weights"))
    for made in (pictures, films, weights):
        made.mkdir()
    for kind in ("jpg", "png", "webp", "tif", "bmp", "gif", "avif", "jp2"):
        (picture if kind in ("png", "webp", "tif") else picture.convert("RGB")).save(pictures / f"a.{kind}", exif=exif)
    frames = [Image.fromarray(np.roll(np.asarray(picture.convert("RGB")), shift, 1)) for shift in range(0, 40, 8)]
    for kind in ("gif", "webp", "png"):
        frames[0].save(films / f"a.{kind}", save_all=True, append_images=frames[1:], duration=40)
    for kind, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4")):
        (films / f"a.{kind}").write_bytes(_film(kind, codec, frames))
    shutil.copy(SMALL_WEIGHTS, weights / "a.safetensors")
    torch.save(safetensors.torch.load_file(SMALL_WEIGHTS), weights / "a.pth")
    run = Program("train", [*tiny(folder, trainer__max_steps=4), f"hydra.run.dir={folder / 'run'}"], folder).wait()
    assert not run.status, run.text


def _film(kind: str, codec: str, frames: list[Image.Image]) -> bytes:
    """A film with a tone."""
    written = io.BytesIO()
    with av.open(written, "w", format={"mkv": "matroska"}.get(kind, kind)) as container:
        video = container.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = *frames[0].size, "yuv420p"
        sound = container.add_stream({"webm": "libopus", "avi": "ac3"}.get(kind, "aac"), rate=48000, layout="mono")
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_image(frame)))
        container.mux(video.encode(None))
        wave = (np.sin(np.arange(9600) / 20) * 9000).astype(np.int16)[None]
        tone = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        tone.sample_rate = 48000
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    return written.getvalue()


def main() -> None:
    options = common.arguments(__doc__.splitlines()[0], 2000, kinds=",".join(KINDS), first=0)
    common.ready()
    lost = False
    with common.workplace() as folder:
        make_sources(folder)

        def one(kind: str, number: int, chance: random.Random) -> str | None:
            at = folder / "at"
            at.mkdir()
            fault = Attempt(kind, folder, at, chance).run()
            shutil.rmtree(at)
            return fault

        for kind in options.kinds.split(","):
            faults = common.tried(options, partial(one, kind), max(1, round(options.times * KINDS[kind])), kind)
            common.add_row(f"mutate {kind}", WHAT, GOAL, options, faults)
            lost |= bool(faults)
    if lost:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
