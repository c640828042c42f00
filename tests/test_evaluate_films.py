"""The table of how steady films are: real painting of a made film whose flicker is known in part."""

import re

import numpy as np
import pytest
from clips import film
from styles import make_style

from fst.errors import UserError
from fst.evaluate import films


def test_a_still_film_is_steady_and_a_noisy_one_steadier_when_stabilized(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(60, 200, (9, 12, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    noisy = [(picture + rng.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8) for _ in range(7)]
    lossless = {"codec": "ffv1", "pixel_format": "bgr0"}
    still, grainy = film(tmp_path / "still.mkv", [picture] * 7, **lossless), film(tmp_path / "n.mkv", noisy, **lossless)
    entry = tmp_path / "README.md"
    entry.write_text(f"Before.\n{films.BEGIN}\nstale\n<!-- end -->\nAfter.\n", encoding="utf-8")
    style = make_style(tmp_path / "random.safetensors", "realtime")
    films.main([str(style), "--film", str(still), "--film", str(grainy), "--frames", "6", "--into", str(entry)])
    written = entry.read_text(encoding="utf-8")
    assert written.startswith("Before.") and written.endswith("After.\n") and "stale" not in written
    rows = [re.findall(r"[\d.]+(?= /)", line) for line in written.splitlines() if " / " in line]
    source, alone, held, flowing = rows[:4]
    assert [alone[:2], held[:2], flowing[:2]] == [["0.0", "0.0"]] * 3
    assert 0 <= float(held[2]) < 0.8 * float(alone[2]) and 0 <= float(flowing[2]) < 0.8 * float(alone[2])
    assert float(source[2]) == pytest.approx(6 * 2 / np.sqrt(np.pi), rel=0.15)
    assert "stabilize=hold, ms more" in capsys.readouterr().out


def test_mistakes_are_one_line(tmp_path) -> None:
    with pytest.raises(UserError, match="two at least"):
        films.main(["--frames", "1"])
    with pytest.raises(UserError, match="does not exist"):
        films.main(["--film", str(tmp_path / "none.mp4")])
