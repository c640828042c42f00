import pytest
import torch

from fst import stylefile
from fst.errors import UserError
from fst.methods.assemble import start_from
from fst.networks import build
from fst.stylefile import StyleInfo

SETTINGS = {"widths": [4, 8], "depth": 1}


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_run_starts_from_a_trained_style(tmp_path, where) -> None:
    torch.manual_seed(0)
    trained, fresh = build("realtime", **SETTINGS), build("realtime", **SETTINGS)
    file = stylefile.save(tmp_path / "style.safetensors", trained, StyleInfo("wave", "realtime", SETTINGS))
    photo = torch.rand(1, 3, 24, 24)
    assert not torch.allclose(fresh(photo), trained(photo))
    start_from(fresh, str(file if where == "file" else tmp_path), "realtime")
    assert torch.equal(fresh(photo), trained(photo))
    assert all(parameter.requires_grad for parameter in fresh.parameters())


def test_another_network_is_refused(tmp_path) -> None:
    file = stylefile.save(
        tmp_path / "s.safetensors", build("realtime", **SETTINGS), StyleInfo("wave", "realtime", SETTINGS)
    )
    for network in (build("realtime", widths=[4, 6], depth=1), build("realtime", widths=[4, 8], depth=2)):
        with pytest.raises(UserError, match=r"another network than this run's: realtime with .*network.depth=1"):
            start_from(network, str(file), "realtime")
    with pytest.raises(UserError, match="does not exist"):
        start_from(build("realtime", **SETTINGS), "nowhere", "realtime")
