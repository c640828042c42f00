import dataclasses
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fst import images, store
from fst.data import archives
from fst.data.archives import Archive, unpack
from fst.errors import UserError
from fst.store import Remote

PHOTO = images.encode(np.full((8, 8, 3), 90, np.uint8), ".png")


def make_zip(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, PHOTO)
    return path


def make_tar(path: Path, names: list[str], **links: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, target in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        for name in names:
            member = tarfile.TarInfo(name)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(PHOTO)
            archive.addfile(member, io.BytesIO(PHOTO))
    return path


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_only_images_are_unpacked_at_their_depth(tmp_path):
    names = ["train2017/1.jpg", "train2017/2.png", "train2017/labels.json", "__MACOSX/._1.jpg"]
    unpack(make_zip(tmp_path / "a.zip", names), tmp_path / "coco/train2017", depth=1)
    assert tree(tmp_path / "coco") == ["train2017/1.jpg", "train2017/2.png"]
    assert (tmp_path / "coco/train2017/1.jpg").read_bytes() == PHOTO

    names = ["./", "train/n01/1.JPEG", "train/n02/1.JPEG", "README"]
    unpack(make_tar(tmp_path / "a.tar.gz", names), tmp_path / "sample/train", depth=2)
    assert tree(tmp_path / "sample") == ["train/n01/1.JPEG", "train/n02/1.JPEG"]


@pytest.mark.parametrize("bad", ["../out.png", "/etc/out.png", "train/../../out.png", "..\\out.png", "x/C:/out.png"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_an_archive_that_writes_elsewhere_is_refused_whole(tmp_path, make, bad):
    archive = make(tmp_path / "archive", ["train/1.png", bad, "train/2.png"])
    with pytest.raises(UserError, match="is refused") as caught:
        unpack(archive, tmp_path / "store/train", depth=2)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == ["archive"] and not any((tmp_path / "store").iterdir())


def test_links_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    archive = make_tar(tmp_path / "a.tar.gz", ["ok.png"], **{"link.png": str(tmp_path / "secret.png"), "folder": "/"})
    unpack(archive, tmp_path / "out", depth=1)
    assert tree(tmp_path / "out") == ["ok.png"]


def test_a_damaged_or_empty_archive_leaves_nothing(tmp_path):
    whole = make_tar(tmp_path / "whole.tar.gz", [f"train/{i}.png" for i in range(200)]).read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "checksum.tar.gz").write_bytes(whole[:-8] + bytes(byte ^ 1 for byte in whole[-8:-4]) + whole[-4:])
    (tmp_path / "text.zip").write_text("404: not here")
    zipped = make_zip(tmp_path / "b.zip", ["1.png", "2.png"]).read_bytes()
    (tmp_path / "flipped.zip").write_bytes(zipped.replace(PHOTO, PHOTO[:-9] + b"x" + PHOTO[-8:], 1))
    (tmp_path / "half.zip").write_bytes(zipped[: len(zipped) // 2])
    make_zip(tmp_path / "none.zip", ["readme.txt"])
    for name, said in {
        "half.tar.gz": "damaged",
        "checksum.tar.gz": "damaged",
        "text.zip": "damaged",
        "half.zip": "damaged .*not a zip file",
        "flipped.zip": "damaged",
        "none.zip": "no images",
    }.items():
        with pytest.raises(UserError, match=said) as caught:
            unpack(tmp_path / name, tmp_path / "store/train", depth=1)
        assert name in str(caught.value) and "\n" not in str(caught.value)
        assert not any((tmp_path / "store").iterdir())


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Archive:
    monkeypatch.setenv("FST_HOME", str(tmp_path / "home"))
    return Archive("coco/train2017", Remote("http://127.0.0.1:9/train2017.zip", None, 1_000), depth=1)


def test_a_downloaded_archive_becomes_the_folder(archive):
    (store.home() / "coco").mkdir(parents=True)
    make_zip(store.home() / "coco/train2017.zip", ["train2017/1.jpg"])
    assert archive.obtain() == store.home() / "coco/train2017"
    assert tree(store.home()) == ["coco/train2017/1.jpg"], "the archive should be gone"
    assert archive.obtain().is_dir(), "what is there is used"


def test_no_network_and_too_little_disk(archive, monkeypatch):
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9.*data=procedural"):
        archive.obtain()
    usage = archives.shutil.disk_usage("/")
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: usage._replace(free=5_000_000))
    with pytest.raises(UserError, match=r"5 MB free, but train2017\.zip and its photos need 1\.0 GB"):
        archive.obtain()
    large = dataclasses.replace(archive, remote=dataclasses.replace(archive.remote, size=10_000_000_000))
    with pytest.raises(UserError, match=r"need 21\.0 GB"):  # the file, what is in it, and the run's own
        large.obtain()
    (store.home() / "coco").mkdir(parents=True, exist_ok=True)
    (store.home() / "coco/train2017.zip").touch()
    with pytest.raises(UserError, match=r"need 11\.0 GB"):
        large.obtain()


def test_big_archives_are_pinned():
    for known in archives.ARCHIVES["coco"]:
        assert len(known.remote.sha256) == 64
    assert archives.IMAGENET.address.startswith("https://")
