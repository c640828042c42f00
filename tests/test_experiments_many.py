"""What the studies of the network of many styles compute."""

from pathlib import Path

import numpy as np
import torch
from photos import make_photos
from PIL import Image

from experiments.adapt import seconds
from experiments.many import loop, readers, shared
from fst.config.compose import compose
from fst.losses.gram import gram_matrix
from fst.losses.student import student
from fst.networks import build


def test_what_is_read_of_a_painting_is_kept_on_the_shelf(tmp_path: Path) -> None:
    file = tmp_path / "flat.png"
    Image.fromarray(np.full((300, 400, 3), (200, 120, 40), np.uint8)).save(file)  # all its crops are alike
    target, read = readers.Shelf([file]).draw(3, paintings=1)
    flat = torch.tensor([200.0, 120.0, 40.0]).div(255).view(1, 3, 1, 1).expand(1, 3, 288, 288)
    for layer, of in student()(flat, ["relu1_2", "relu3_3"]).items():
        assert target.grams[1.0, layer].shape[0] == 3
        assert torch.allclose(target.grams[1.0, layer][1:2], gram_matrix(of), rtol=2e-3, atol=1e-5)
        assert torch.allclose(read[f"mean {layer}"][2], of.mean((0, 2, 3)), atol=1e-4)


def test_renormalised_features_have_the_means_and_deviations_that_were_asked_for() -> None:
    torch.manual_seed(0)
    mean, deviation = torch.randn(2, 5), torch.rand(2, 5)
    found = readers.renormalised(7 + 3 * torch.randn(2, 5, 9, 8), mean, deviation).numpy()
    assert np.allclose(found.mean((2, 3)), mean, atol=1e-4)
    assert np.allclose(found.std((2, 3)), deviation, atol=1e-3)


def test_only_the_chosen_part_of_a_network_learns(tmp_path: Path) -> None:
    make_photos(tmp_path, 3)
    network = build("realtime", widths=[4, shared.INNER], depths=[0, 1])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    learning = [one for one in network.parameters() if shared.PARTS["and the inner convolutions"](one)]
    wanted = shared.target([torch.rand(1, 3, 48, 48)])
    settings = ["data=folder", f"data.root={tmp_path}", "data.val_images=1"]
    loop.fit(lambda x, _: network(x), {1.0: learning}, lambda _: (wanted, None), loop.Length(2, 1, 48), settings)
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    kernels = {key: value.shape[:2] for key, value in before.items() if value.dim() == 4}
    inner = {key for key, shape in kernels.items() if shape == (shared.INNER, shared.INNER)}
    assert moved & set(kernels) == inner
    assert any(key.endswith("bias") for key in moved)


def test_an_arm_of_seconds_is_composed_with_its_steps_and_beginning() -> None:
    begins = {"prediction": "many", "mean": str(seconds.MEAN), "nothing": None}
    for beginning, steps in seconds.STEPS.items():
        config = compose(["method=adapt", *seconds.overrides(beginning, 10)])
        assert config.trainer.max_steps == config.trainer.val_check_interval == steps[10]
        assert config.method.init_from == begins[beginning]
