"""Cut VGG-16's weight file down to the layers that a loss needs: python -m fst.losses.cut [--layer relu3_3]

To relu3_3, which `loss=vgg16_relu3` asks for, 7 MB are left of 553. The cut file lies in FST_HOME/weights, where every
run finds it; the whole file may be deleted then, and the cut one copied to other machines' FST_HOME/weights.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save

from fst import store
from fst.errors import one_line_errors
from fst.files import replacing, shown
from fst.losses.names import layer_names
from fst.losses.vgg import tensor_shapes
from fst.losses.weights import OXFORD, load_weights


def cut(layer: str) -> Path:
    """Cut the store's weights, fetched first if need be, after a ReLU: FST_HOME/weights/vgg16_to_LAYER.safetensors."""
    names = layer_names()
    tensors = load_weights(OXFORD, [layer])
    kept = {name: tensors[name].contiguous() for name in tensor_shapes(names[: names.index(layer) + 1])}
    path = store.home() / "weights" / f"vgg16_to_{layer}.safetensors"
    with replacing(path) as beside:
        beside.write_bytes(save(kept))  # written by Python: a full disk is an OSError
    return path


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m fst.losses.cut", description=__doc__.partition("\n")[0])
    parser.add_argument("--layer", default="relu3_3", choices=layer_names(), help="the deepest to keep (relu3_3)")
    path = cut(parser.parse_args(words).layer)
    print(f"{shown(path)}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    with one_line_errors():
        main()
