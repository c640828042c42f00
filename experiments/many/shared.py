"""What styles share: python -m experiments.many.shared [trunks] [parts] [settings of train.py]

`trunks`: 1, 4 and 12 styles in one network, from nothing, at equal steps a style. `parts`: a painting held out, from
what the bundled network of many styles reads of it, where all learns, or scales and shifts with some convolutions or
none. Prints the tables of the objectives on content/; what was trained is kept in runs/many.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from experiments.gpu.paintings import MANY
from experiments.gpu.pictures import painting
from experiments.many import heldout, loop
from experiments.many.readers import RUNS
from fst import store, stylefile
from fst.errors import one_line_errors
from fst.evaluate import judge
from fst.losses.student import read, student
from fst.losses.style_target import StyleTarget
from fst.methods.any_module import weighted
from fst.networks import Network, build

WIDTHS = [16, 32, 96]  # the bundled network's
FOUR = ("gogh", "kandinsky", "klimt", "piranesi")
TWELVE = (*FOUR, "hokusai", "picabia", "turner", "boccioni", "souza", "froissart", "schiele", "mondrian")
TRUNKS = {1: [(name,) for name in FOUR], 4: [FOUR], 12: [TWELVE]}
A_STYLE, CROP = 400, 128  # steps a style, pixels
PART = loop.Length(60, 1, 176)  # some ten seconds of two idle cores
PAINTINGS = ("Pierre_Vignal__ill_004.jpg",)  # of the store, held out
INNER = 96  # channels of the convolutions at 1/8 of the picture, which are the most of the network
PARTS: dict[str, Callable[[Tensor], bool]] = {
    "scales and shifts": lambda one: one.dim() == 1,
    "and the outer convolutions": lambda one: one.dim() == 1 or not _inner(one),
    "and the inner convolutions": lambda one: one.dim() == 1 or _inner(one),
    "all": lambda one: True,
}


def _inner(kernel: Tensor) -> bool:
    return tuple(kernel.shape[:2]) == (INNER, INNER)


def target(pictures: Sequence[Tensor]) -> StyleTarget:
    """With the weight that suits each painting."""
    compared = loop.criterion()
    return weighted(compared.style_target(pictures), compared.style.layer_weights)


def trunk(names: Sequence[str], settings: Sequence[str], a_style: int = A_STYLE) -> nn.Module:
    """The network of these styles, trained unless it is there."""
    torch.manual_seed(0)
    network, path = build("realtime_many", styles=names, widths=WIDTHS), RUNS / f"trunk-{'-'.join(names)}.pt"
    if path.is_file():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network
    wanted, turns = target([painting(MANY[name].path) for name in names]), itertools.count()

    def draw(count: int) -> tuple[StyleTarget, Tensor]:
        places = torch.tensor([next(turns) % len(names) for _ in range(count)])
        return wanted[places], network.table[places]

    loop.fit(network, {1.0: list(network.parameters())}, draw, loop.Length(a_style * len(names), 1, CROP), settings)
    torch.save(network.state_dict(), path)
    return network


def part(file: str, name: str, settings: Sequence[str], length: loop.Length = PART) -> Network:
    """The network of a painting, trained unless it is there."""
    picture, path = painting(store.home() / "paintings" / file), RUNS / f"part-{name}-{file}.pt"
    many = stylefile.load(stylefile.BUNDLED / stylefile.MANY)[0]
    network = many.folded(many.predictor(read(student(), [picture])))
    if path.is_file():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network
    learning = [one.requires_grad_() for one in network.parameters() if PARTS[name](one)]
    wanted = target([picture])
    loop.fit(lambda photos, _: network(photos), {0.75: learning}, lambda count: (wanted, None), length, settings)
    torch.save(network.state_dict(), path)
    return network.requires_grad_(False)


def objective(unseen: heldout.Unseen, picture: Tensor, network: Network) -> float:
    """Of a network of one painting."""
    return unseen.row(picture, judge.as_used(network))[heldout.OBJECTIVE]


def tell_trunks(unseen: heldout.Unseen, settings: Sequence[str]) -> None:
    """One row per painting, one column per number of styles."""
    found: dict[int, dict[str, float]] = {}
    for count, groups in TRUNKS.items():
        made = {
            name: trunk(names, settings).for_style({name: 1.0}) for names in groups for name in FOUR if name in names
        }
        found[count] = {name: objective(unseen, painting(MANY[name].path), one) for name, one in made.items()}
    print(f"| painting, {A_STYLE} steps each | {' | '.join(f'of {count}' for count in TRUNKS)} |\n|---|---:|---:|---:|")
    for name in FOUR:
        print(f"| {name} | {' | '.join(f'{found[count][name]:.1f}' for count in TRUNKS)} |")
    print(f"| median | {' | '.join(f'{statistics.median(found[count].values()):.1f}' for count in TRUNKS)} |")


def tell_parts(unseen: heldout.Unseen, settings: Sequence[str]) -> None:
    """A row what learns, one column per painting."""
    pictures = {file: painting(store.home() / "paintings" / file) for file in PAINTINGS}
    print(f"| what learns | parameters | {' | '.join(PAINTINGS)} |\n|---|---:|{'---:|' * len(pictures)}")
    paints = heldout.reader()
    before = [unseen.row(picture, paints(picture))[heldout.OBJECTIVE] for picture in pictures.values()]
    print(f"| nothing: the prediction | 0 | {' | '.join(f'{value:.1f}' for value in before)} |")
    for name, learns in PARTS.items():
        made = {file: part(file, name, settings) for file in pictures}
        size = sum(one.numel() for one in made[PAINTINGS[0]].parameters() if learns(one))
        told = [objective(unseen, pictures[file], one) for file, one in made.items()]
        print(f"| {name} | {size:,} | {' | '.join(f'{value:.1f}' for value in told)} |", flush=True)


def main(words: Sequence[str]) -> None:
    """Train what is not there, then tell."""
    settings = [word for word in words if "=" in word]
    RUNS.mkdir(parents=True, exist_ok=True)
    unseen = heldout.Unseen()
    for name, tell in {"trunks": tell_trunks, "parts": tell_parts}.items():
        if name in words or len(settings) == len(words):
            tell(unseen, settings)


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
