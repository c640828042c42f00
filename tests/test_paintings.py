import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from fst.config.schema import StyleConfig
from fst.data.paintings import painting
from fst.errors import UserError
from fst.methods import parts
from fst.methods.feedforward import about_painting

CONF = Path(__file__).resolve().parent.parent / "conf/style"
STYLES = {file.stem: OmegaConf.load(file) for file in sorted(CONF.glob("*.yaml"))}


def config(name: str, **settings) -> StyleConfig:
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StyleConfig), STYLES[name], settings))


def test_every_style_says_where_it_comes_from():
    assert {"gogh", "hokusai", "picabia", "kandinsky", "turner", "munch", "custom"} <= set(STYLES)
    for name, style in STYLES.items():
        assert (CONF / f"{name}.yaml").read_text().startswith("# ") and style.name == name
        if name != "custom":
            assert style.title and style.artist
            assert 1400 <= style.get("year", 1500) < 1930, name  # not known of every one
            assert style.licence == "public domain"
            assert style.address.startswith("https://") and style.address.endswith(style.file)
            assert len(style.sha256) == 64


@pytest.mark.parametrize("name", [name for name in STYLES if name != "custom"])
def test_paintings_in_the_store_are_the_pinned_ones(store, name):
    path = store / "styles" / STYLES[name].file
    if not path.exists():
        pytest.skip(f"{path.name} is not in the store")
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == STYLES[name].sha256 and len(data) == STYLES[name].bytes
    pixels = painting(config(name, size=200))
    assert max(pixels.shape[:2]) == 200 and pixels.std() > 20


def test_a_picture_of_ones_own_keeps_its_aspect(tmp_path):
    Image.new("RGB", (80, 40), (10, 200, 30)).save(tmp_path / "own.png")
    for size, shape in ((40, (20, 40, 3)), (200, (100, 200, 3))):
        pixels = painting(config("custom", image=str(tmp_path / "own.png"), size=size))
        assert pixels.shape == shape and pixels.dtype == np.uint8
        assert np.abs(pixels.reshape(-1, 3).mean(axis=0) - (10, 200, 30)).max() < 1


def test_mistakes_end_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    remote = {"file": "s.jpg", "address": "http://127.0.0.1:9/s.jpg", "sha256": "0" * 64}
    for style, said in [
        ({"name": "custom"}, "style=custom needs a picture: style.image=FILE"),
        ({"name": "custom", "image": str(tmp_path / "none.jpg")}, "there is no file"),
        ({"name": "gogh", "file": "x.jpg", "size": 8}, "between 16 and 4096"),
        ({"name": "mine", "file": "mine.jpg"}, "mine.jpg does not exist"),
        ({"name": "munch", **remote}, r"127\.0\.0\.1:9.*style=custom style\.image=PATH"),
    ]:
        with pytest.raises(UserError, match=said) as caught:
            painting(StyleConfig(**style))
        assert "\n" not in str(caught.value)


def test_without_a_network_a_bundled_swatch_stands_in(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)  # NNCF, where a test before used it, has set pytest's own handler to errors alone
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    settings = {"address": "http://127.0.0.1:9/painting.jpg", "sha256": "0" * 64}
    pixels = painting(config("gogh", **settings))
    assert max(pixels.shape) == 512 and pixels.std() > 20
    assert "style=gogh takes the swatch" in caplog.text and "127.0.0.1:9" in caplog.text
    assert not any((tmp_path / "styles").glob("*")), "the swatch is not put among the store's paintings"


def test_a_runs_config_names_the_swatch_that_stood_in(offline):
    style = config("gogh")
    parts.read_painting(style)
    assert Path(style.image).name == "gogh.jpg" and Path(style.image).is_file()
    assert about_painting(style)["title"] == style.title, "it stands for the painting"
    (offline / "styles" / style.file).write_bytes(Path(style.image).read_bytes())
    again = config("gogh")
    parts.read_painting(again)
    assert again.image is None
