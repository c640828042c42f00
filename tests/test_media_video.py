"""paint_video: what comes out, decoded by OpenCV or compared packet for packet, against what went in."""

from __future__ import annotations

import functools
import http.server
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from clips import BARS, Identity, bars, click, film, packets, pixels, scene, times

from fst.errors import UserError
from fst.media.video import decode
from fst.media.video.decode import VideoReader
from fst.media.video.encode import VideoWriter
from fst.media.video.paint_video import paint_video

FRAMES = [scene(index) for index in range(24)]


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def paint(source: Path, output: str | None = None, **settings) -> Path:
    return paint_video(str(source), Path(output) if output else None, Identity(), **settings)


def distance(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left.astype(int) - right.astype(int)).mean())


def bar_levels(picture: np.ndarray) -> np.ndarray:
    """(8, 3): the median colour of each bar, away from its edges."""
    height, width = picture.shape[:2]
    middles = picture[8 : height - 8].reshape(height - 16, 8, width // 8, 3)[:, :, 8:-8]
    return np.median(middles, axis=(0, 2))


@pytest.mark.parametrize("name", ["chaplin.mp4", "carphone_pristine.mp4"])
def test_a_real_film_keeps_frames_times_sound_and_pixels(store, name):
    source = store / "video" / name
    result = paint(source)
    assert result == Path(f"{source.stem}-same.mp4")
    before, after = pixels(source), pixels(result)
    assert len(before) == len(after)
    assert times(source) == times(result)
    assert max(distance(*pair) for pair in zip(before, after, strict=True)) < 4
    with av.open(str(source)) as film_in, av.open(str(result)) as film_out:
        assert film_out.duration == film_in.duration
        assert film_out.streams.video[0].sample_aspect_ratio == film_in.streams.video[0].sample_aspect_ratio
        tracks = len(film_in.streams.audio)
        assert len(film_out.streams.audio) == tracks
    assert all(packets(source, track) == packets(result, track) for track in range(tracks))


def test_the_file_plays_in_browsers():
    """H.264 High or below, 8-bit 4:2:0, and the index before the data."""
    result = paint(film(Path("a.mp4"), FRAMES, pixel_format="yuv444p"))
    with av.open(str(result)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
    data = result.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


@pytest.mark.parametrize(
    ("suffix", "codec", "name"),
    [(".mp4", "h265", "hevc"), (".mkv", "vp9", "vp9"), (".webm", None, "vp9"), (".mp4", "av1", "libdav1d")],
)
def test_other_codecs_and_containers(suffix, codec, name, capfd):
    source = film(Path("a.mp4"), FRAMES[:6])
    result = paint(source, "b" + suffix, codec=codec)
    with av.open(str(result)) as container:
        assert container.streams.video[0].codec_context.name == name
        assert name != "hevc" or container.streams.video[0].codec_context.codec_tag == "hvc1", (
            "or Apple's do not play it"
        )
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 6
    assert distance(shown[3], FRAMES[3]) < 4
    assert times(result) == times(source)
    assert "info" not in capfd.readouterr().err.lower()  # x265 and SVT-AV1 talk if one lets them


def test_quality_is_size_and_likeness():
    rng = np.random.default_rng(0)
    source = film(Path("a.mkv"), list(rng.integers(0, 256, (6, 48, 64, 3), np.uint8)), codec="ffv1")
    results = [paint(source, f"{quality}.mp4", quality=quality) for quality in (20, 75, 100)]
    sizes = [result.stat().st_size for result in results]
    errors = [distance(pixels(result)[2], pixels(source)[2]) for result in results]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 1.5 * errors[2]


def test_variable_frame_rate_is_carried_exactly():
    stamps = [3, 4, 10, 33, 34, 103, 253, 254, 403, 1003]
    source = film(Path("a.mp4"), FRAMES[:10], pts=stamps, time_base=Fraction(1, 1001))
    assert times(source) == [Fraction(stamp, 1001) for stamp in stamps]
    assert times(paint(source)) == times(source)


def test_the_last_frame_lasts_as_long_as_it_did():
    with VideoWriter(Path("a.mp4"), width=64, height=48, time_base=Fraction(1, 1000), codec="h265") as writer:
        for pts, duration in ((0, 100), (100, 20), (120, 200), (320, 680)):
            writer.write(FRAMES[0], pts, duration)
    for result in (Path("a.mp4"), paint(Path("a.mp4"))):
        with av.open(str(result)) as container:
            assert container.duration == 1_000_000


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_rotated_film_stands_upright_without_metadata(rotation):
    source = film(Path("a.mp4"), FRAMES[:3], rotation=rotation, aspect=Fraction(4, 3))
    result = paint(source)
    # OpenCV turns the source by its metadata; the result must not need that.
    assert distance(pixels(source)[1], pixels(result)[1]) < 3
    with av.open(str(result)) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
        assert aspect == (Fraction(4, 3) if rotation == 180 else Fraction(3, 4)), "pixels lie on their side, too"
        frame = next(container.decode(video=0))
        assert frame.rotation == 0
        assert (frame.width, frame.height) == ((64, 48) if rotation == 180 else (48, 64))


@pytest.mark.parametrize("along", [((1, 0), (0, 1)), ((0, 1), (1, 0))])
@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize("down", [1, -1])
def test_turned_and_mirrored_pixels_go_where_the_display_matrix_says(along, right, down):
    """To (a x + c y, b x + d y), counted from the least that there is."""
    (a, b), (c, d) = (right * np.array(along[0]), down * np.array(along[1]))
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 14], np.int32) << 16
    stored = np.arange(2 * 3).reshape(2, 3, 1)
    y, x = np.indices((2, 3))
    across, upright = a * x + c * y, b * x + d * y
    across, upright = across - across.min(), upright - upright.min()
    expected = np.zeros((upright.max() + 1, across.max() + 1, 1), int)
    expected[upright, across] = stored
    frame = SimpleNamespace(side_data={"DISPLAYMATRIX": matrix.tobytes()})
    assert np.array_equal(decode._turn(stored, *decode._orientation(frame)), expected)


@pytest.mark.parametrize(("width", "height"), [(63, 47), (64, 47), (63, 48)])
def test_odd_sizes_grow_by_at_most_one_pixel(width, height):
    y, x = np.indices((height, width))
    checks = np.repeat(60 + 130 * ((x // 3 + y // 3) % 2)[..., None], 3, axis=2).astype(np.uint8)  # shifted they differ
    source = film(Path("a.mp4"), [checks] * 3, pixel_format="yuv444p", options={"crf": "10"})
    picture, painted = pixels(source)[1], pixels(paint(source, quality=95))[1]
    assert (picture.shape, painted.shape) == ((height, width, 3), (48, 64, 3))
    grown = np.pad(picture, ((0, 48 - height), (0, 64 - width), (0, 0)), mode="edge")
    assert distance(grown, painted) < 4 and distance(grown[47], painted[47]) < 4
    assert distance(grown[:, 63], painted[:, 63]) < 4
    assert pixels(paint(source, "b.webm"))[1].shape == (height, width, 3)  # VP9 has odd sizes


@pytest.mark.parametrize(
    "tags",
    [(1, 1, 1, 1), (1, 1, 1, 2), (6, 6, 6, 1), (5, 6, 5, 2), (9, 16, 9, 1), (7, 7, 7, 1)],
    ids=lambda tags: str(tags),
)
def test_colour_tags_and_colours_stay(tags):
    """By ITU-R BT.601, 709, 2020, SMPTE 240M: the luma of each bar, in either range, is what the formula says."""
    source = film(Path("a.mp4"), [bars()] * 3, tags=tags, options={"crf": "1"})
    result = paint(source, quality=100)
    with av.open(str(result)) as container:
        context = container.streams.video[0].codec_context
        found = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        luma = next(container.decode(video=0)).to_ndarray()[8:56, :256].reshape(48, 8, 32)[:, :, 8:-8]
    assert found == tags
    shares = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}
    red, blue = shares.get(tags[2], (0.299, 0.114))
    grey = BARS / 255 @ np.array([red, 1 - red - blue, blue])
    expected = 255 * grey if tags[3] == 2 else 16 + 219 * grey
    assert np.abs(np.median(luma, axis=(0, 2)) - expected).max() <= 1.5


def test_ten_bit_becomes_eight():
    quiet = {"x265-params": "log-level=none"}
    source = film(Path("a.mkv"), [bars()] * 3, codec="libx265", pixel_format="yuv420p10le", options=quiet)
    assert np.abs(bar_levels(pixels(paint(source))[1]) - bar_levels(pixels(source)[1])).max() <= 4


@pytest.mark.parametrize("kind", ["full-range Motion JPEG", "SMPTE 240M"])
def test_a_stylizer_sees_the_right_colours(kind):
    """What reaches the network is the RGB that went in."""
    seen = []

    class Spy(Identity):
        def stream(self, frames, count=None):
            for frame in frames:
                seen.append(frame)
                yield frame

    if kind == "SMPTE 240M":
        source, within = film(Path("a.mp4"), [bars()] * 2, tags=(7, 7, 7, 1), options={"crf": "1"}), 3
    else:
        source, within = film(Path("a.avi"), [bars()] * 2, codec="mjpeg", pixel_format="yuvj420p"), 6
    paint_video(str(source), None, Spy())
    assert seen[0].dtype == np.uint8
    assert np.abs(bar_levels(seen[0]) - BARS).max() <= within


def test_all_tracks_are_copied_bit_for_bit():
    source = film(Path("a.mp4"), FRAMES, tones=3)
    result = paint(source)
    assert [packets(result, track) for track in range(3)] == [packets(source, track) for track in range(3)]
    with av.open(str(result)) as container:
        assert [track.metadata["language"] for track in container.streams.audio] == ["eng", "deu", "fra"]


def test_sound_that_is_longer_than_the_picture_is_kept_to_its_end():
    whole, source = film(Path("whole.mp4"), FRAMES, tones=1, options={"bf": "0"}), Path("a.mp4")
    with av.open(str(whole)) as container, av.open(str(source), "w") as shorter:
        streams = [shorter.add_stream_from_template(stream) for stream in container.streams]
        for packet in container.demux():
            if packet.size and (packet.stream.type == "audio" or packet.pts * packet.time_base < Fraction(2, 5)):
                packet.stream = streams[packet.stream.index]
                shorter.mux(packet)
    result = paint(source)
    assert len(pixels(result)) == 10 and packets(result)[-1][0] > 0.9
    assert packets(result) == packets(source)


def test_a_title_is_kept_also_where_its_letters_are_damaged():
    source = film(Path("a.mp4"), FRAMES[:2], metadata={"title": "The wave of N.N.", "encoder": "mine"})
    damaged = Path("b.mp4")
    damaged.write_bytes(source.read_bytes().replace(b"of N.N.", b"of \xff\xfe.."))
    for file, title in ((source, "The wave of N.N."), (damaged, "The wave of \ufffd\ufffd..")):
        with av.open(str(paint(file))) as container:
            assert container.metadata["title"] == title and container.metadata.get("encoder") != "mine"


def test_opus_goes_into_mp4_as_it_is():
    source = film(Path("a.mkv"), FRAMES, tones=1, sound="libopus")
    assert [data for _, data in packets(paint(source))] == [data for _, data in packets(source)]


@pytest.mark.parametrize(
    ("name", "codec", "sound", "output"),
    [("a.avi", "mpeg4", "pcm_s16le", None), ("a.mp4", "libx264", "aac", "b.webm")],
)
def test_sound_the_container_cannot_hold_is_encoded_anew_in_sync(name, codec, sound, output):
    source = film(Path(name), FRAMES, codec=codec, sound=sound, tones=1)
    result = paint(source, output)
    assert len(pixels(result)) == len(FRAMES)
    assert click(result) - float(times(result)[0]) == pytest.approx(0.5, abs=0.006)
    with av.open(str(result)) as container:
        heard = [frame for frame in container.decode(audio=0)]
    assert {frame.layout.nb_channels for frame in heard} == {1}
    assert sum(frame.samples for frame in heard) >= 0.96 * 48000, "to its end"


def test_the_end_of_the_sound_is_not_taken_for_a_frame(monkeypatch):
    decoded, decode = [], VideoReader._decoded

    def noted(reader: VideoReader, packet: av.Packet) -> list[av.VideoFrame]:
        decoded.append(packet.stream.type)
        return decode(reader, packet)

    monkeypatch.setattr(VideoReader, "_decoded", noted)
    list(VideoReader(str(film(Path("a.mp4"), FRAMES, tones=1))))
    assert set(decoded) == {"video"}


def test_real_vorbis_becomes_aac(store):
    source = store / "video/big_buck_bunny_432_433.webm"
    result = paint(source)
    with av.open(str(result)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert times(result) == times(source)


def test_a_transport_stream_begins_at_zero_with_its_sound_in_place():
    source = film(Path("a.ts"), FRAMES, tones=1)
    result = paint(source)
    assert times(source)[0] > 0.05
    start = times(result)[0]
    assert start < 0.05
    steps = [float(shown - start) for shown in times(result)]
    assert steps == pytest.approx([float(shown - times(source)[0]) for shown in times(source)], abs=1e-4)
    assert click(result) - float(start) == pytest.approx(click(source) - float(times(source)[0]), abs=0.002)


def test_one_frame():
    result = paint(film(Path("a.mp4"), FRAMES[:1]))
    assert len(pixels(result)) == 1


def damaged(source: Path, target: Path) -> Path:
    """A copy with the data of one frame in the middle overwritten."""
    with av.open(str(source)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    place, size = places[len(places) // 2]
    data = bytearray(source.read_bytes())
    data[place : place + size] = bytes(size)
    target.write_bytes(data)
    return target


def test_a_corrupt_frame_costs_that_frame_alone(capsys):
    source = film(Path("a.mp4"), [scene(index, 160, 120) for index in range(40)], tones=1, options={"bf": "0"})
    result = paint(damaged(source, Path("b.mp4")))
    missing = set(times(source)) - set(times(result))
    assert len(missing) <= 1
    assert len(times(result)) >= 39
    assert packets(result) == packets(source)
    assert "1 frames are damaged" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_truncated_film_gives_what_is_there_and_says_so(suffix, capsys):
    noise = list(np.random.default_rng(0).integers(0, 256, (75, 48, 64, 3), np.uint8))
    whole = paint(film(Path("a.mp4"), noise), f"whole{suffix}")
    assert "breaks off" not in capsys.readouterr().err
    data = whole.read_bytes()
    cut = Path("cut").with_suffix(suffix)
    cut.write_bytes(data[: len(data) // 2])
    result = paint(cut)
    there = len(pixels(result))
    assert 1 < there < 60
    with av.open(str(result)) as container:
        assert container.duration < 2_400_000, "the last one does not stay to the end of what is lost"
    told = capsys.readouterr().err
    assert f"{cut} breaks off after {there} frames" in told and "of 3.0 seconds are there" in told


def test_the_source_of_each_mistake_is_named(tmp_path):
    film(Path("a.mp4"), FRAMES[:3])
    Path("text.mp4").write_text("not a film " * 100)
    Path("empty.mp4").touch()
    Path("cut.mp4").write_bytes(Path("a.mp4").read_bytes()[:-400])
    Path("there.mp4").write_text("kept")
    with av.open("sound.m4a", "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    before = sorted(path.name for path in tmp_path.iterdir())
    mistakes = [
        (("none.mp4", None), {}, "does not exist"),
        (("text.mp4", None), {}, "not a video"),
        (("empty.mp4", None), {}, "not a video"),
        (("cut.mp4", None), {}, "breaks off"),
        (("sound.m4a", None), {}, "sound only"),
        (("a.mp4", "there.mp4"), {}, "overwrite=true"),
        (("a.mp4", "a.mp4"), {"overwrite": True}, "source itself"),
        (("a.mp4", "b.avi"), {}, "'.avi'"),
        (("a.mp4", "b.mp4"), {"codec": "h266"}, "did you mean 'h26"),
        (("a.mp4", "b.webm"), {"codec": "h264"}, "vp9, av1"),
        (("a.mp4", "b.mp4"), {"quality": 101}, "between 0 and 100: 0 is small"),
        (("a.mp4", "b.gif"), {"codec": "h264"}, "no meaning"),
        (("http://me:secret@127.0.0.1:9/a.mp4", None), {}, "http://127.0.0.1:9/a.mp4"),
    ]
    for (source, output), settings, message in mistakes:
        with pytest.raises(UserError) as caught:
            paint(source, output, **settings)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert Path("there.mp4").read_text() == "kept"


def test_music_with_a_picture_of_its_cover_is_no_film():
    with av.open("a.m4a", "w", format="mp4") as container:
        cover, sound = container.add_stream("mjpeg", rate=1), container.add_stream("aac", rate=48000, layout="mono")
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(FRAMES[0], "rgb24").reformat(format="yuvj420p")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        silence.sample_rate = 48000
        for stream, frame in ((cover, picture), (sound, silence)):
            container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(UserError, match="not a film: it holds sound only"):
        paint(Path("a.m4a"))


def test_a_film_without_a_decodable_frame():
    source = film(Path("a.mp4"), FRAMES[:1])
    with pytest.raises(UserError, match="no frame that can be decoded"):
        paint(damaged(source, Path("b.mp4")))
    assert not list(Path().glob("*same*"))


def test_overwrite_and_folders():
    source = film(Path("a.mp4"), FRAMES[:3])
    Path("b.mp4").write_text("old")
    assert len(pixels(paint(source, "b.mp4", overwrite=True))) == 3
    assert paint_video("a.mp4", Path("b.mp4").parent, Identity()) == Path("a-same.mp4")


@pytest.mark.parametrize("output", ["b.mp4", "b.gif", "b.webp"])
def test_a_full_disk_is_one_line_and_leaves_nothing(output):
    """A limit on the size of files stands in for the end of the disk."""
    noise = list(np.random.default_rng(0).integers(0, 256, (12, 120, 160, 3), np.uint8))
    film(Path("a.mkv"), noise)
    script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from clips import Identity
from fst.errors import one_line_errors
from fst.media.video.paint_video import paint_video
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
with one_line_errors():
    paint_video("a.mkv", Path({output!r}), Identity())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: cannot write {output}: File too large"
    assert [path.name for path in Path().iterdir()] == ["a.mkv"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_a_film_that_plays_with_its_sound(number):
    source = film(Path("a.mp4"), [scene(index) for index in range(200)], tones=1)
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from clips import Identity
from fst.errors import one_line_errors
from fst.media.video.paint_video import paint_video
from fst.system import handling, interrupt
class Slow(Identity):
    def stream(self, frames, count=None):
        for index, frame in enumerate(frames):
            if index == 30:
                print("now", flush=True)
            time.sleep(0.01)
            yield frame
with one_line_errors(), handling(interrupt):
    paint_video("a.mp4", None, Slow())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    result = Path("a-same.mp4")
    count = len(pixels(result))
    assert 25 <= count < 200
    assert f"stopped: a-same.mp4 holds the first {count} frames" in errors
    assert "Traceback" not in errors
    assert times(result) == times(source)[:count]
    sound = packets(result)
    assert sound == packets(source)[: len(sound)]
    assert float(sound[-1][0]) == pytest.approx(count / 25, abs=0.05)
    assert not list(Path().glob(".*"))


def test_an_error_in_the_network_leaves_nothing():
    film(Path("a.mp4"), FRAMES)
    with pytest.raises(RuntimeError, match="network"):
        paint_video("a.mp4", None, Identity(fail_at=10, error=RuntimeError("network")))
    assert [path.name for path in Path().iterdir()] == ["a.mp4"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("write")]


def test_a_live_film_painted_too_slowly_keeps_its_sound_and_its_last_frame(monkeypatch):
    source = film(Path("a.mp4"), FRAMES, tones=1)

    class Live(VideoReader):
        def __init__(self, *how):
            super().__init__(*how)
            self.live = True  # as of an address without an end

        def __iter__(self):
            yield from super().__iter__()
            read.set()

    class Slow(Identity):
        def stream(self, frames, count=None):
            yield next(frames)
            assert read.wait(20)  # all of them were read while this one was painted
            yield from frames

    read = threading.Event()
    monkeypatch.setattr("fst.media.video.paint_video.VideoReader", Live)
    result = paint_video(str(source), None, Slow())
    assert len(times(result)) < len(FRAMES) and times(result)[-1] == times(source)[-1]
    assert packets(result) == packets(source)


def test_an_address_is_read_to_its_end(tmp_path):
    film(Path("a.mp4"), FRAMES, tones=1)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = paint_video(f"http://127.0.0.1:{server.server_port}/a.mp4?token=1", None, Identity())
        server.shutdown()
    assert result == Path("a-same.mp4")
    assert times(result) == times(Path("a.mp4"))
    assert packets(result) == packets(Path("a.mp4"))
