"""The parts under paint_video: the writer used on its own, GIF and WebP, reading ahead, the choice of an encoder."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Identity, film, pixels, scene, times
from PIL import Image

from fst.errors import UserError
from fst.images import frame_count
from fst.media.video import animation, encode
from fst.media.video import paint_video as painting
from fst.media.video.animation import AnimationReader, AnimationWriter
from fst.media.video.colour import Colour
from fst.media.video.decode import Frame
from fst.media.video.encode import VideoWriter
from fst.media.video.paint_video import paint_video
from fst.media.video.stabilize import steadier

FRAMES = [scene(index) for index in range(8)]


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def durations(path: Path) -> list[int]:
    """Milliseconds of each frame, by Pillow."""
    found = []
    with Image.open(path) as image:
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            found.append(image.info.get("duration", 0))
    return found


def test_a_writer_counts_time_by_itself():
    with VideoWriter(Path("a.mp4"), width=64, height=48, rate=29.97) as writer:
        for frame in FRAMES:
            writer.write(frame)
    assert [float(shown) for shown in times(Path("a.mp4"))] == pytest.approx([n / 29.97 for n in range(8)], abs=1e-4)
    assert np.abs(pixels(Path("a.mp4"))[5].astype(int) - FRAMES[5]).mean() < 3


def test_a_new_film_says_that_its_colours_are_srgbs():
    with VideoWriter(Path("a.mp4"), width=64, height=48) as writer:
        writer.write(FRAMES[0])
    with av.open("a.mp4") as container:
        context = container.streams.video[0].codec_context
        found = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
    assert found == (1, 13, 1, 1)  # H.273: BT.709, sRGB, BT.709, 16..235


@pytest.mark.parametrize(
    ("size", "red"),
    [((1280, 534), 0.2126), ((1024, 577), 0.2126), ((1279, 576), 0.299), ((720, 480), 0.299)],
)
def test_a_film_without_tags_is_taken_as_players_take_it_by_its_size(size, red):
    assert Colour(2, 2, 2, 1).of_planes(*size).red == red
    assert Colour(2, 2, 6, 1).of_planes(*size).red == 0.299, "a tag is heeded whatever the size"


def test_time_that_stands_still_moves_on_by_a_tick():
    with VideoWriter(Path("a.mp4"), width=64, height=48, time_base=Fraction(1, 1000)) as writer:
        for pts in (0, 40, 40, 30, 120):
            writer.write(FRAMES[0], pts)
    assert [shown * 1000 for shown in times(Path("a.mp4"))] == [0, 40, 41, 42, 120]


def test_a_writer_without_frames_leaves_nothing():
    with VideoWriter(Path("a.mp4"), width=64, height=48):
        pass
    assert not list(Path().iterdir())


@pytest.mark.parametrize(("error", "kept"), [(KeyboardInterrupt, True), (ValueError, False)])
def test_a_writer_keeps_its_frames_on_ctrl_c_alone(error, kept):
    Path("a.mp4").write_text("old")
    with pytest.raises(error), VideoWriter(Path("a.mp4"), width=64, height=48) as writer:
        for frame in FRAMES:
            writer.write(frame)
        raise error
    assert len(list(Path().iterdir())) == 1
    if kept:
        assert len(pixels(Path("a.mp4"))) == 8
    else:
        assert Path("a.mp4").read_text() == "old"


@pytest.mark.parametrize(("codec", "encoder", "size"), [("hevc", "libx265", (2, 2)), ("av1", "libsvtav1", (640, 8))])
def test_a_size_no_encoder_takes_is_one_line(codec, encoder, size):
    width, height = size
    with pytest.raises(UserError, match=f"{encoder} cannot encode {width}x{height}"):  # noqa: SIM117
        with VideoWriter(Path("a.mp4"), width=width, height=height, codec=codec) as writer:
            writer.write(np.zeros((height, width, 3), np.uint8))
    assert not list(Path().iterdir())


def test_a_disk_that_is_full_at_the_first_frame_is_told_long_before_the_last():
    class Full(AnimationWriter):
        def _encode(self, beside, frames):
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write a\.webp: No space left"), Full(Path("a.webp")) as writer:
        for pts in range(20):
            writer.write(FRAMES[0], pts)
    assert writer.frames < 20 and not any(Path().iterdir())


def test_without_its_encoder_a_codec_is_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"libx265"})
    assert encode.choose(".mp4") == encode.choose(".mp4", "h265") == "hevc"
    with pytest.raises(UserError, match=r"built without libx264, which h264 needs; it has hevc for \.mp4 files"):
        encode.choose(".mp4", "h264")
    with pytest.raises(UserError, match="libvpx-vp9, which vp9 needs; it has none"):
        encode.choose(".webm")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animation_in_animation_out(suffix):
    shown = [100, 50, 250, 70]
    source = Path("a" + suffix)
    pictures = [Image.fromarray(frame) for frame in FRAMES[:4]]
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=shown, loop=3, lossless=True)
    result = paint_video(str(source), None, Identity())
    assert result == Path("a-same" + suffix)
    assert frame_count(result) == 4
    assert durations(result) == shown
    with Image.open(result) as image:
        assert image.info["loop"] == 3
        image.seek(2)
        assert np.abs(np.array(image.convert("RGB")).astype(int) - FRAMES[2]).mean() < 3


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_film_to_animation_and_back(suffix):
    source = film(Path("a.mp4"), FRAMES, time_base=Fraction(1, 20))
    middle = paint_video(str(source), Path("b" + suffix), Identity())
    assert durations(middle) == [50] * 8
    back = paint_video(str(middle), Path("c.mp4"), Identity())
    assert times(back) == times(source)
    assert np.abs(pixels(back)[3].astype(int) - FRAMES[3]).mean() < 5


def test_a_fast_film_becomes_a_gif_that_browsers_do_not_slow_down():
    source = film(Path("a.mp4"), FRAMES, time_base=Fraction(1, 60))
    shown = durations(paint_video(str(source), Path("b.gif"), Identity()))
    assert min(shown) >= 20
    assert sum(shown) == pytest.approx(8 / 60 * 1000, abs=10)


def test_a_gifs_colours_are_nearer_to_a_busy_pictures_than_those_of_a_median_cut():
    y, x = np.mgrid[:180, :320]
    busy = np.stack([0.7 * x, 1.2 * y, 128 + 60 * np.sin(x / 20) + 60 * np.cos(y / 15)], axis=-1)
    busy = (busy + np.random.default_rng(0).normal(0, 12, busy.shape)).clip(0, 255).astype(np.uint8)
    with AnimationWriter(Path("a.gif")) as writer:
        writer.write(busy, 0)
    with Image.open("a.gif") as image:
        error = np.mean((np.array(image.convert("RGB")).astype(float) - busy) ** 2)
    with Image.fromarray(busy).quantize(256, Image.Quantize.MEDIANCUT) as image:
        former = np.mean((np.array(image.convert("RGB")).astype(float) - busy) ** 2)
    assert error < 0.85 * former


def test_what_is_transparent_in_an_animation_is_white():
    clear, half = (np.dstack([FRAMES[0], np.full((48, 64), alpha, np.uint8)]) for alpha in (0, 102))
    Image.fromarray(clear).save("a.png", save_all=True, append_images=[Image.fromarray(half)])
    first, second = (frame.pixels.astype(int) for frame in AnimationReader("a.png"))
    assert (first == 255).all() and np.abs(second - (0.4 * FRAMES[0] + 0.6 * 255)).max() <= 1


def test_a_gif_without_durations_plays_in_a_film_as_browsers_show_it():
    pictures = [Image.fromarray(frame) for frame in FRAMES[:3]]
    pictures[0].save("a.gif", save_all=True, append_images=pictures[1:], duration=[0, 10, 60])
    result = paint_video("a.gif", Path("b.mp4"), Identity())
    assert times(result) == [0, Fraction(1, 10), Fraction(1, 5)]
    assert durations(paint_video("a.gif", None, Identity())) == [0, 10, 60]


def test_a_truncated_gif_gives_the_frames_before_the_break(capsys):
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    pictures[0].save("a.gif", save_all=True, append_images=pictures[1:], duration=50)
    Path("b.gif").write_bytes(Path("a.gif").read_bytes()[:-40])
    assert durations(paint_video("b.gif", None, Identity())) == [50] * 7
    assert "b.gif breaks off after 7 frames" in capsys.readouterr().err
    Path("c.gif").write_bytes(b"GIF89a")
    with pytest.raises(UserError, match=r"cannot open animation c\.gif"):
        paint_video("c.gif", None, Identity())


def test_ctrl_c_keeps_a_gif():
    film(Path("a.mp4"), FRAMES)
    with pytest.raises(KeyboardInterrupt):
        paint_video("a.mp4", Path("b.gif"), Identity(fail_at=5, error=KeyboardInterrupt()))
    assert len(durations(Path("b.gif"))) == 4


@pytest.mark.parametrize(("gif", "plays"), [(None, 1), (0, 0), (2, 3)])
def test_a_gif_that_is_shown_again_so_often_plays_once_more(gif, plays, tmp_path):
    """A GIF's number is of repetitions, WebP's and PNG's of plays; 0 is for ever in all."""
    frames = [Image.fromarray(scene(index)[:48, :64]) for index in range(3)]
    frames[0].save(
        tmp_path / "a.gif", save_all=True, append_images=frames[1:], **({} if gif is None else {"loop": gif})
    )
    for name, of, expected in (("b.webp", "a.gif", plays), ("c.png", "b.webp", plays), ("d.gif", "c.png", gif)):
        paint_video(str(tmp_path / of), tmp_path / name, Identity())
        with Image.open(tmp_path / name) as image:
            assert image.info.get("loop") == expected


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_an_animation_that_memory_would_not_hold_is_refused_and_a_gif_is_not(monkeypatch, suffix):
    monkeypatch.setattr(animation, "_MOST_BYTES", 3 * FRAMES[0].nbytes)
    with (
        pytest.raises(UserError, match=f"a{suffix} would grow too long"),
        AnimationWriter(Path(f"a{suffix}")) as writer,
    ):
        for pts, frame in enumerate(FRAMES):
            writer.write(frame, 40 * pts, 40)
    with AnimationWriter(Path("a.gif")) as writer:
        for pts, frame in enumerate(FRAMES):
            writer.write(frame, 40 * pts, 40)
    assert [path.name for path in Path().iterdir()] == ["a.gif"]


def test_a_gif_has_no_quality():
    with pytest.raises(UserError, match="quality= has no meaning"):
        AnimationWriter(Path("a.gif"), quality=50)


def test_decoding_painting_and_encoding_overlap():
    """Each stage waits for the other two: were one of them to wait for its turn, the barrier would break."""
    barrier = threading.Barrier(3)

    def meeting(values, first):
        for index, value in enumerate(values):
            if first <= index < first + 4:
                barrier.wait(20)
            yield value

    class Meets(Identity):
        def stream(self, frames, count=None):
            yield from meeting(frames, 1)

    class Sink(AnimationWriter):
        def _encode(self, beside, values):
            for _ in meeting(values, 0):
                pass

    items = (Frame(FRAMES[0], index, 1) for index in range(6))
    with Sink(Path("a.gif")) as sink:
        for frame in painting._painted(painting._ahead(meeting(items, 2), drop=False), Meets(), 6, steadier("none")):
            sink.write(frame.pixels, frame.pts, frame.duration)
    assert sink.frames == 6


def test_a_live_source_loses_frames_rather_than_time():
    read = threading.Event()

    def camera():
        for index in range(60):
            yield Frame(FRAMES[0], index, 1)
        read.set()

    frames = painting._ahead(camera(), drop=True)
    stamps = [next(frames).pts]
    assert read.wait(20)  # to its end, though nobody took a second frame
    stamps += [frame.pts for frame in frames]
    assert stamps == sorted(set(stamps)) and len(stamps) < 20
    assert [frame.pts for frame in painting._ahead(camera(), drop=False)] == list(range(60))
