"""Put a run's style among the bundled ones, in 16 bits: python experiments/bundle.py RUN_DIR NAME [PAINTING]

It is judged first (`fst.evaluate.judge`; PAINTING: an image file, where NAME is no style of conf/style), and its file
keeps the figures for `infer.py styles`. The painted pictures differ from the 32-bit style's by the figure printed.
"""

import sys
from pathlib import Path

import torch

from fst import stylefile
from fst.errors import UserError, one_line_errors
from fst.evaluate import judge
from fst.files import replacing

MOST_BYTES = 4_000_000


def main(run: Path, name: str, painting: str) -> None:
    """Write fst/styles/NAME.safetensors and say how good, how large and how exact it is."""
    network, info = stylefile.load(run / "style.safetensors")
    for settings, key in ((info.training.get("method", {}), "init_from"), (info.training.get("data", {}), "root")):
        if settings.get(key):
            settings[key] = Path(settings[key]).name  # a folder of this machine says nothing elsewhere
    photos = judge.read_photos(None)
    judged = judge.judged(str(run), list(photos), judge.judges(photos), painting)
    figures = {"content": judged["content_loss"], "style": judged["style_loss"], "total": judged["total"]}
    info.training["by_style"] = {name: {key: float(f"{value:.3g}") for key, value in figures.items()}}
    target = stylefile.BUNDLED / f"{name}.safetensors"
    with replacing(target) as beside:
        size = stylefile.save(beside, network, info, half=True).stat().st_size
        if size > MOST_BYTES:
            raise UserError(f"{name} takes {size / 1e6:.1f} MB; a bundled style may take {MOST_BYTES / 1e6:.0f}")
    photo = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        difference = (stylefile.load(target)[0](photo) - network(photo)).abs().max().item() * 255
    print(f"content {judged['content_loss']:.1f}, objective {judged['total']:.1f}, grid {judged['grid']:.0f}")
    print(f"{target}: {size / 1e3:.0f} kB, at most {difference:.2f} of 255 levels from the 32-bit style on noise")


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) not in (3, 4):
            raise UserError("usage: python experiments/bundle.py RUN_DIR NAME [PAINTING]")
        main(Path(sys.argv[1]), sys.argv[2], sys.argv[-1])
