import os
import stat

import pytest

from fst.errors import UserError
from fst.files import expanded, new_folder, number, read_json, replacing, uniquely, visible


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "new/folder/file.txt"
    for text in ("first", "second"):
        with replacing(target) as beside:
            beside.write_text(text)
            assert beside.suffix == ".txt" and beside.parent == target.parent
            assert not target.exists() or target.read_text() == "first"
            written = beside.stat().st_ino
        assert target.read_text() == text and target.stat().st_ino == written, "renamed: no reader sees half a copy"
    assert [path.name for path in (target.parent).iterdir()] == ["file.txt"]


def test_a_tilde_is_a_home_folder_where_there_is_such_a_user(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("USERPROFILE", "/somewhere")  # Windows'
    names = ("~/photo.jpg", "~nobody-of-that-name/photo.jpg", "photo~.jpg")
    assert [expanded(name).as_posix() for name in names] == ["/somewhere/photo.jpg", *names[1:]]


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


def test_a_name_as_long_as_a_file_may_have_is_written(tmp_path):
    target = tmp_path / f"{'n' * 251}.txt"
    with replacing(target) as beside:
        beside.write_text("x")
    assert target.read_text() == "x"


def test_two_that_write_one_file_do_not_write_into_each_others(tmp_path):
    target = tmp_path / "file.txt"
    with replacing(target) as one, replacing(target) as other:
        one.write_text("one"), other.write_text("other")
    assert one != other and target.read_text() == "one"  # the last to end


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "\xff", "[" * 100_000], ids=range(6))
def test_what_is_no_json_object_is_read_as_an_empty_one(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    assert read_json(tmp_path / "a.json") == read_json(tmp_path / "none.json") == {}


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


def test_what_a_killed_program_left_is_not_seen(tmp_path):
    for name in ("a/one.png", "a/.one-12345678.png", "two.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(path.name for path in visible(tmp_path, "**/*.png")) == ["one.png", "two.png"]


def test_names_are_each_once():
    assert uniquely(["a", "a", "a-2", "b", "a"]) == ["a", "a-2", "a-2-2", "b", "a-3"]
