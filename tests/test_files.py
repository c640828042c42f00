import os
import stat

import pytest

from fst.errors import UserError
from fst.files import new_folder, number, replacing


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "new/folder/file.txt"
    for text in ("first", "second"):
        with replacing(target) as beside:
            beside.write_text(text)
            assert beside.suffix == ".txt" and beside.parent == target.parent
            assert not target.exists() or target.read_text() == "first"
        assert target.read_text() == text
    assert [path.name for path in (target.parent).iterdir()] == ["file.txt"]


def test_a_new_folder_is_nobody_elses(tmp_path):
    names = [new_folder(tmp_path / "runs" / "1.5e4").name for _ in range(3)]
    assert names == ["1.5e4", "1.5e4-2", "1.5e4-3"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in (tmp_path).iterdir()] == ["file.txt"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as beside:
            beside.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write") as caught, replacing(tmp_path / "file" / "inside"):
        pass
    assert "\n" not in str(caught.value)


def test_numbers_are_as_people_write_them():
    said = {250000.0: "2.5e5", "1e5": "1e5", 9999.6: "1e4", 0.00123456: "0.001235", -2.5e-7: "-2.5e-7", 0.0: "0"}
    said |= {100000: "100000", "0123": "0123", "gogh": "gogh", None: "None", float("inf"): "inf"}
    assert {value: number(value) for value in said} == said
