"""After how many iterations of L-BFGS is the optimisation as good as a network? Johnson et al. 2016, figure 5.

python experiments/lbfgs_equivalence/run.py STYLEFILE... [--photos FOLDER] [--iterations 200]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from fst import images, store, stylefile  # noqa: E402
from fst.config.compose import compose  # noqa: E402
from fst.errors import UserError, one_line_errors  # noqa: E402
from fst.files import replacing  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="+", type=Path, help="style files that train.py wrote")
    parser.add_argument("--photos", type=Path, help="folder of photos no network saw (default: content/ of the store)")
    parser.add_argument("--painting", type=Path, help="where the style is not one of conf/style")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for results.json and figure.jpg")
    arguments = parser.parse_args()
    with one_line_errors():
        study(arguments)


def study(arguments: argparse.Namespace) -> None:
    """Measure every style file, then write the table and the figure."""
    folder = arguments.photos or store.find("content")
    if folder is None:
        raise UserError("name a folder of photos that no network was trained on: --photos FOLDER")
    photos = {path.stem: images.read(path) for path in images.files(folder)}
    from fst.evaluate.equivalence import Match, equivalence
    from fst.system import keep_memory

    keep_memory()

    def report(match: Match) -> None:
        reached = "not reached" if match.iteration is None else f"iteration {match.iteration}"
        print(f"  {match.photo:<14} network {match.network:8.2f}   {reached}", flush=True)

    results = []
    for style in arguments.styles:
        print(style)
        made = equivalence(
            style,
            painting_of(style, arguments.painting),
            photos,
            iterations=arguments.iterations,
            size=arguments.size,
            report=report,
        )
        results.append(made)
        print(f"  as good as {made.summary()} iterations of L-BFGS, median and range over {len(photos)} photos")
    table = {
        Path(result.style).name: [{"photo": m.photo, "network": m.network, "losses": m.losses} for m in result.matches]
        for result in results
    }
    with replacing(arguments.out / "results.json") as beside:
        beside.write_text(json.dumps(table, indent=1) + "\n")
    draw(results, arguments.out / "figure.jpg")


def painting_of(style: Path, file: Path | None):
    """The painting that a style file was trained on, at the size it was trained with."""
    from fst.data.paintings import painting

    info = stylefile.read_info(style)
    chosen = [f"style={info.name}"] if file is None else ["style=custom", f"style.image={file}"]
    return painting(compose([*chosen, f"style.size={info.style.get('size', 512)}"]).style)


def draw(results: list, path: Path) -> None:
    """Objective over iterations, median and range over photos, and where each network stands."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(results), figsize=(6 * len(results), 4.2), squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        rows = list(zip(*(match.losses for match in result.matches), strict=True))
        middle = [statistics.median(row) for row in rows]
        steps = range(len(rows))
        axis.fill_between(steps, [min(row) for row in rows], [max(row) for row in rows], alpha=0.2, lw=0)
        axis.plot(steps, middle, label=f"L-BFGS from noise (median of {len(result.matches)} photos, range)")
        network = statistics.median(match.network for match in result.matches)
        axis.axhline(network, color="C1", label="network (median)")
        for match in result.matches:
            if match.iteration is not None:
                axis.plot(match.iteration, match.network, "o", color="C1", ms=4)
        axis.set(title=f"{Path(result.style).stem}: as good as {result.summary()} iterations")
        axis.set(xlabel="iteration", ylabel="objective", yscale="log")
        axis.legend(frameon=False)
    figure.tight_layout()
    with replacing(path) as beside:
        figure.savefig(beside, dpi=110)
    print(f"figure      {path}")


if __name__ == "__main__":
    main()
