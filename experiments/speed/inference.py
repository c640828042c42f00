"""What painting costs: python experiments/speed/inference.py [--quick] [--parts] [--realtime STYLE] [--johnson STYLE]

Every row is a process of its own, run one after another on this machine, so that ratios belong to one run. The
yardstick is the Johnson network as pytorch/examples runs it (fp32, eager), with glibc's allocator as it is and tuned.
Prints Markdown and writes results.json beside this file; --quick (few frames, one backend) writes nothing. --parts
prints what a frame of a film costs by part, and nothing else.

A style is a bundled name or a file; "new" is an untrained network of that kind, which is as fast as a trained one.
Photos and a film are taken from FST_HOME (content/*.jpg, video/bunny_720p.mp4) where it has them, else made.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measures import make_clip

from fst import store, stylefile
from fst.errors import UserError, one_line_errors
from fst.networks import build
from fst.stylize import ranges

HERE = Path(__file__).parent
SIZES = {"640×480": (480, 640), "1280×720": (720, 1280)}
FILMS = {**SIZES, "1920×1080": (1080, 1920)}
# glibc then keeps large buffers instead of handing them back to the kernel after every layer.
TUNED = {"MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_MMAP_THRESHOLD_": "100000000000"}
PAPER_SECONDS = 0.21  # Johnson et al., table 1: 1024×1024 on a Titan X


def row(kind: str, environment: dict[str, str] | None = None, **words: object) -> dict:
    """Measure in a child process."""
    command = [sys.executable, str(HERE / "measures.py"), json.dumps({"kind": kind, **words})]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | (environment or {}))
    if done.returncode:
        raise UserError(f"{kind} {words}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}")
    return json.loads(done.stdout.splitlines()[-1])


def style_file(asked: str | None, network: str, folder: Path) -> str:
    """A style of that kind of network: the one asked for, else a bundled one, else an untrained one."""
    if asked not in (None, "new"):
        return asked
    for path in stylefile.bundled().values() if asked is None else ():
        if stylefile.read_info(path).network == network:
            return str(path)
    built = build(network).eval()
    int8 = ranges.measure(built, [torch.rand(4, 3, 128, 128)] * 4)
    return str(stylefile.save(folder / f"{network}.safetensors", built, stylefile.StyleInfo("new", network, int8=int8)))


def painting_rows(styles: dict[str, str], repeats: int, ways: list[tuple[str, str]]) -> list[dict]:
    """The eager yardsticks and every network, backend and precision, at both sizes."""
    rows = []
    for size, (height, width) in SIZES.items():
        shape = {"height": height, "width": width}
        few = max(3, repeats // 5)  # the slow ones
        for name, environment in (("eager", {}), ("eager, malloc tuned", TUNED)):
            found = row("eager", environment, repeats=few, **shape)
            rows.append({"size": size, "network": "johnson", "how": name, "precision": "f32", **found})
            tell(rows[-1])
        for network, style in styles.items():
            for backend, precision in ways:
                count = repeats if network == "realtime" else few
                words = {"style": style, "backend": backend, "precision": precision, "repeats": count}
                rows.append({"size": size, "network": network, "how": backend, **row("paint", **words, **shape)})
                tell(rows[-1])
    return rows


def tell(found: dict) -> None:
    """Progress, on standard error: standard output is the Markdown."""
    print(
        {key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()}, file=sys.stderr
    )


def start_rows(style: str) -> dict:
    """Whole seconds of a process from nothing to the first frame: its style never opened before, and opened before."""
    height, width = SIZES["640×480"]
    seconds = {}
    with tempfile.TemporaryDirectory() as home:
        for name in ("cold", "cached", "cached again"):
            started = time.perf_counter()
            row("start", {"FST_HOME": home}, style=style, height=height, width=width)
            seconds[name] = time.perf_counter() - started
    return {"cold": seconds["cold"], "cached": min(seconds["cached"], seconds["cached again"])}


def painting_table(rows: list[dict]) -> str:
    lines = ["| frame | network | run by | precision | ms | fps | fps, stream | peak MB | × eager | × eager tuned |"]
    lines.append("|---|---|---|---|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        plain, tuned = (found["seconds"] for found in rows if found["size"] == size and "eager" in found["how"])
        for found in (found for found in rows if found["size"] == size):
            stream = f"{found['fps']:.1f}" if "fps" in found else ""
            seconds = found["seconds"]
            lines.append(
                f"| {size} | {found['network']} | {found['how']} | {found['precision']} | {seconds * 1000:.1f} "
                f"| {1 / seconds:.1f} | {stream} | {found['memory']:.0f} | {plain / seconds:.2f} "
                f"| {tuned / seconds:.2f} |"
            )
    return "\n".join(lines)


def goal_table(results: dict) -> str:
    """The goals of a laptop's two cores beside what was measured."""

    def found(size: str, network: str, how: str, precision: str | None = None) -> list[dict]:
        return [
            one
            for one in results["painting"]
            if (one["size"], one["network"], one["how"]) == (size, network, how)
            and precision in (None, one["precision"])
        ]

    eager_480, eager_720 = (found(size, "johnson", "eager")[0] for size in SIZES)
    exact = [one for one in found("640×480", "johnson", "openvino") if one["precision"] != "int8"]
    fastest = min(one["seconds"] for one in exact)
    rows = []
    for precision, films in results["films"].items():
        for size, goal in zip(FILMS, ("≥ 75", "≥ 30", "≥ 12"), strict=True):
            rows.append((f"realtime, file to file with sound, {size}, {precision}, fps", goal, films[size]["fps"]))
    for precision, live in results["webcam"].items():
        rows.append((f"webcam loop, 640×480, {precision}, fps", "≥ 60", live["fps"]))
        rows.append((f"webcam loop, 640×480, {precision}, camera to painted, ms", "≤ 25", live["glass"] * 1000))
    rows.append(("fading between styles, 640×480, share of the rate at rest", "≥ 0.95", results["fading"]["share"]))
    rows.append(("johnson, 640×480, times eager", "≥ 4.5", eager_480["seconds"] / fastest))
    for one in found("640×480", "johnson", "openvino", "int8"):
        rows.append(("johnson int8, 640×480, times eager", "", eager_480["seconds"] / one["seconds"]))
    rows.append(("cold start to the first frame, s", "", results["start"]["cold"]))
    rows.append(("start of a style opened before to the first frame, s", "≤ 0.8", results["start"]["cached"]))
    for network in ("realtime", "johnson"):
        memory = max(one["memory"] for one in found("1280×720", network, "openvino") if one["precision"] != "int8")
        rows.append((f"peak memory at 1280×720, {network}, share of eager's", "≤ 0.5", memory / eager_720["memory"]))
    if "gpu" in results:
        for how, one in results["gpu"].items():
            rows.append((f"johnson, 1024×1024, {how}, s (the paper, Titan X: {PAPER_SECONDS})", "", one["seconds"]))
    lines = ["| what | goal | measured |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {what} | {goal} | {value:.3g} |" for what, goal, value in rows)])


def parts_table(parts: dict[str, dict[str, float]]) -> str:
    lines = [f"| core-milliseconds a frame | {' | '.join(parts)} |", f"|---|{'---:|' * len(parts)}"]
    for part in next(iter(parts.values())):
        lines.append(f"| {part} | {' | '.join(f'{film[part]:.1f}' for film in parts.values())} |")
    return "\n".join(lines)


def agreement_table(results: dict) -> str:
    lines = ["| network | backend, precision | mean PSNR, dB | least, dB |", "|---|---|---:|---:|"]
    for network, levels in results["agreement"].items():
        lines += [f"| {network} | {way} | {one['mean']:.1f} | {one['least']:.1f} |" for way, one in levels.items()]
    return "\n".join(lines)


def gpu_rows(styles: dict[str, str], repeats: int) -> dict:
    """Johnson at 1024² as in the paper's table 1, where there is a CUDA device."""
    shape = {"height": 1024, "width": 1024, "repeats": repeats}
    words = {"style": styles["johnson"], "backend": "torch", "precision": "auto"}
    return {"eager": row("eager", device="cuda", **shape), "backend=torch": row("paint", **words, **shape)}


def photos() -> list[str]:
    folder = store.find("content")
    return [str(path) for path in sorted(folder.glob("*.jpg"))] if folder else []


def make_clips(folder: Path, seconds: float) -> dict[str, Path]:
    film = store.find("video/bunny_720p.mp4")
    clips = {size: folder / f"{height}.mp4" for size, (height, _) in FILMS.items()}
    for size, clip in clips.items():
        make_clip(str(film) if film else None, clip, *FILMS[size], seconds)
    return clips


def parts_rows(style: str, folder: Path, seconds: float) -> dict[str, dict[str, float]]:
    clips = make_clips(folder, seconds).items()
    return {size: row("film_parts", style=style, clip=str(clip), precision="auto")["parts"] for size, clip in clips}


def measure(styles: dict[str, str], folder: Path, quick: bool) -> dict:
    from fst.stylize.openvino_backend import has_bf16

    precisions = ["f32", *(["bf16"] if has_bf16() else []), "int8"]
    ways = [("torch", "auto"), *(("openvino", precision) for precision in precisions)]
    if quick:
        ways = [("openvino", "auto")]
        precisions = []
    results: dict = {"films": {}, "webcam": {}, "agreement": {}}
    clips = make_clips(folder, 1 if quick else 20)
    for style in styles.values():
        for backend, precision in ways:
            row("prepare", style=style, backend=backend, precision=precision)
    for precision in ["auto", *(["int8"] if "int8" in precisions else [])]:
        words = {"style": styles["realtime"], "precision": precision}
        results["films"][precision] = {size: row("film", clip=str(clip), **words) for size, clip in clips.items()}
        clip = str(clips["640×480"])
        results["webcam"][precision] = row("webcam", clip=clip, seconds=2 if quick else 10, **words)
        tell({"precision": precision, "films": results["films"][precision], "webcam": results["webcam"][precision]})
    height, width = SIZES["640×480"]
    results["fading"] = row("fading", height=height, width=width, seconds=0.5 if quick else 3)
    results["start"] = start_rows(styles["realtime"])
    results["painting"] = painting_rows(styles, 3 if quick else 30, ways)
    for network, style in styles.items() if photos() and not quick else ():
        found = row("agreement", style=style, photos=photos(), edge=512, ways=[list(way) for way in ways[1:]])
        results["agreement"][network] = found["psnr"]
    if torch.cuda.is_available():
        results["gpu"] = gpu_rows(styles, 3 if quick else 20)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few frames, one backend: to see that it works")
    parser.add_argument("--parts", action="store_true", help="what a frame of a film costs, by part, and nothing else")
    parser.add_argument("--realtime", help="a style with network=realtime, or new")
    parser.add_argument("--johnson", help="a style with network=johnson, or new")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        styles = {network: style_file(getattr(chosen, network), network, folder) for network in ("realtime", "johnson")}
        parts = parts_rows(styles["realtime"], folder, 0.25 if chosen.quick else 3)
        if chosen.parts:
            print(parts_table(parts))
            return
        results = {"parts": parts, **measure(styles, folder, chosen.quick)}
    results["machine"] = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    print(
        f"{results['machine']}\n\n{painting_table(results['painting'])}\n\n{goal_table(results)}\n\n{parts_table(parts)}"
    )
    if results["agreement"]:
        print(f"\nAgreement with torch in fp32 on {len(photos())} photos at 512 pixels:\n\n{agreement_table(results)}")
    if not chosen.quick:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    with one_line_errors():
        main()
