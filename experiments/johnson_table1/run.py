"""Seconds for 100, 300 and 500 iterations of L-BFGS and for one pass of the network: Johnson et al. 2016, table 1.

python experiments/johnson_table1/run.py [--style STYLEFILE] [--photo PHOTO] [--measured 10]

An iteration's time is the median over `--measured` of them, and 100, 300 and 500 iterations are that many times it.
`--measured 500` runs them all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from fst.config.compose import compose  # noqa: E402
from fst.errors import one_line_errors  # noqa: E402
from fst.files import replacing  # noqa: E402

SIZES = (256, 512, 1024)
COUNTS = (100, 300, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", type=Path, help="style file of the network (default: johnson, untrained)")
    parser.add_argument("--photo", type=Path, help="default: noise")
    parser.add_argument("--measured", type=int, default=10, help="iterations timed at each size")
    parser.add_argument("--device", help="cpu or cuda; default: both where there are both")
    parser.add_argument("--busy", action="store_true", help="one thread, its CPU time: for a machine that others use")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    arguments, overrides = parser.parse_known_args()
    with one_line_errors():
        import torch

        if arguments.busy:
            torch.set_num_threads(1)
        devices = [arguments.device] if arguments.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        rows = [row for device in devices for row in measure(arguments, overrides, device)]
    with replacing(arguments.out) as beside:
        beside.write_text(json.dumps(rows, indent=1) + "\n")
    print(markdown(rows))


def measure(arguments: argparse.Namespace, overrides: list[str], device: str) -> list[dict]:
    """One row a size: seconds of an iteration, of a forward and backward pass of the loss, and of the network."""
    import torch

    from fst import images, stylefile
    from fst.config.schema import check
    from fst.methods import parts
    from fst.networks import build
    from fst.system import keep_memory

    keep_memory()
    config = check(compose(["experiment=johnson_table1", *overrides]))
    criterion = parts.criterion(config.loss).to(device)
    style = criterion.style_target([images.to_tensor(parts.read_painting(config.style)).to(device)])
    network = stylefile.load(arguments.style)[0] if arguments.style else build("johnson")
    network = network.eval().to(device, memory_format=torch.channels_last)
    rows = []
    for size in SIZES:
        torch.manual_seed(0)
        photo = torch.rand(1, 3, size, size)
        if arguments.photo:
            photo = images.to_tensor(images.square(images.read(arguments.photo), size))
        row = {"device": device, "size": size, "threads": torch.get_num_threads()}
        clock = time.process_time if arguments.busy else time.perf_counter
        row |= timed(criterion, style, network, photo.to(device), arguments.measured, clock)
        rows.append(row)
        print(row, flush=True)
    return rows


def timed(criterion, style, network, photo, count: int, clock) -> dict:
    """The medians at one size. The three are timed by turns, so that a busy machine slows all of them alike."""
    import torch

    from fst.methods.gatys import optimise

    content = criterion.content_target(photo)
    evaluate = optimise.evaluator(criterion, content, style)
    objective = optimise.Objective(torch.nn.Parameter(photo.clone()), evaluate)
    steps = optimise.minimise(objective, count + 1, history=10)
    next(steps)
    next(steps)  # the first iteration searches for its step length from nothing

    @torch.inference_mode()
    def paint() -> None:
        network(photo)

    paint()
    before = objective.evaluations
    runs = {"iteration": lambda: next(steps), "loss": lambda: evaluate(photo), "network": paint}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(count):
        for name, run in runs.items():
            times[name].append(seconds(run, photo.device, clock))
    evaluations = (objective.evaluations - before) / count
    return {"evaluations": evaluations, **{name: statistics.median(found) for name, found in times.items()}}


def seconds(run, device, clock) -> float:
    """The time of one call."""
    import torch

    start = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def markdown(rows: list[dict]) -> str:
    """The paper's table, with what an iteration costs in passes of the loss."""
    head = ["device", "size", *(f"{n} iterations" for n in COUNTS), "network", *(f"speed-up {n}" for n in COUNTS)]
    lines = [[*head, "iteration / pass of the loss"], ["---"] * (len(head) + 1)]
    for row in rows:
        spent = [n * row["iteration"] for n in COUNTS]
        cells = [row["device"], f"{row['size']}²", *(f"{s:.3g} s" for s in spent), f"{row['network']:.3g} s"]
        cells += [f"{s / row['network']:.0f}×" for s in spent]
        ratio = row["iteration"] / row["loss"]
        lines.append([*cells, f"{ratio:.2f} ({row['evaluations']:.2f} evaluations)"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
