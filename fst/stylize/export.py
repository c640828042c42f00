"""`python infer.py export=onnx`: a style as a file for other programs, checked before it is put in place."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fst import images
from fst.errors import UserError, require
from fst.files import check_free, expanded, replacing
from fst.stylize import styles
from fst.stylize.framing import MARGIN, working
from fst.stylize.many import PAINTING_SIZE
from fst.values import one_of

if TYPE_CHECKING:
    from fst.networks import Network

AGREEMENT = 1e-3  # of outputs in [0, 1]: a quarter of one of 255 levels
TRIAL = (243, 322)  # of noise; not a multiple of anything, and not the traced size
INTERFACE = {
    "input": "image: float32 (1, 3, height, width), RGB in 0..1 (not 0..255), any height and width from 1 up",
    "output": "painted: the same shape, RGB in 0..1",
}


def export(kind: str, style: str, output: str | None, *, overwrite: bool, painting_size: int = PAINTING_SIZE) -> str:
    """Write a style's network to a file that paints as `infer.py` does, compared with it on a picture; says both.

    Input and output are as INTERFACE says, which is in the file's metadata too. Without `output` the file is NAME.onnx
    in the current folder.

    Raises:
        UserError: an unknown format, a missing package, a file that exists, or outputs that do not agree.
    """
    one_of("export", kind, ["onnx"])
    for package in ("onnx", "onnxruntime"):
        require(package, "export=onnx")
    if len(names := styles.split(style)) > 1:
        raise UserError(f"export={kind} writes one style: style={names[0]}, say, or a mixture of them")
    found = styles.find(style, painting_size)
    if found.vectors is not None and len(found.vectors) > 1:
        raise UserError(f"style={style} moves, which a network does not: export one of its styles")
    target = expanded(output) if output is not None else Path(f"{found.name}.onnx")
    if target.suffix != ".onnx":
        raise UserError(f"output={target} should end in .onnx")
    check_free(target, overwrite)
    network = found.network()
    with replacing(target) as beside:
        _write(network, beside, found)
        difference = _difference(network, beside)
        if not difference <= AGREEMENT:
            raise UserError(f"the exported network differs from torch by {difference:.2g}: {target} was not written")
    agreement = f"ONNX Runtime and torch differ by at most {difference:.1e} of 1 on {TRIAL[1]}x{TRIAL[0]}"
    return f"{target} ({INTERFACE['input']}; {agreement})"


def _write(network: Network, path: Path, style: styles.Style) -> None:
    import onnx

    from fst.stylize.graph import write_image
    from fst.stylize.rewrite import faster

    write_image(faster(network), path, MARGIN)
    model = onnx.load(path)
    onnx.checker.check_model(model)
    onnx.helper.set_model_props(model, INTERFACE | {"fst": json.dumps(dataclasses.asdict(style.info))})
    onnx.save(model, path)


def _difference(network: Network, path: Path) -> float:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (*TRIAL, 3), np.uint8)
    with torch.inference_mode():
        expected = network(images.to_tensor(working(pixels, None, MARGIN))).clamp(0, 1).numpy()
    [painted] = session.run(None, {"image": images.to_tensor(pixels).numpy()})
    return float(np.abs(painted - expected[..., MARGIN:-MARGIN, MARGIN:-MARGIN]).max())
