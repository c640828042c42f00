"""Samples: pure functions of seed and index, whatever is wrong with some of the files."""

import os
from itertools import chain, islice

import numpy as np
import pytest
import torch
from PIL import Image

from fst.data.order import EndlessBatches, generator
from fst.data.training_photos import Photos, TrainingPhotos, crop, hold_out, split
from fst.errors import UserError
from tests.photos import make_photos


def samples(photos, seed=0, chosen=None, **settings):
    settings = {"size": 16, "shorts": (16, 24), "flip": True} | settings
    return TrainingPhotos(photos, chosen or list(range(len(photos))), seed=seed, **settings)


def test_a_sample_depends_on_seed_and_index_alone(tmp_path):
    photos = Photos(make_photos(tmp_path, 6))
    one, same, other = samples(photos), samples(photos), samples(photos, seed=1)
    forwards = [one[i] for i in range(20)]
    backwards = [same[i] for i in reversed(range(20))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert not any(torch.equal(a, other[i]) for i, a in enumerate(forwards))
    assert all(a.shape == (3, 16, 16) and a.dtype == torch.uint8 for a in forwards)


def test_each_epoch_shows_every_photo_in_a_new_order(tmp_path):
    data = samples(Photos(make_photos(tmp_path, 12)))
    epochs = [[next(data._candidates(12 * epoch + i, generator(0, 0, 0))) for i in range(12)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(12))
    other = samples(Photos(tmp_path), seed=1)
    assert [next(other._candidates(i, generator(0, 0, 0))) for i in range(12)] != epochs[0]


def test_scale_crop_and_flip(tmp_path):
    ramp = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (50, 1, 3))  # a pixel's value is its column
    (tmp_path / "a").mkdir()
    Image.fromarray(ramp).save(tmp_path / "a/ramp.png")
    data = samples(Photos(tmp_path), size=25, shorts=(25, 50))
    rows = [data[i][0, 12].int() for i in range(200)]
    spans = torch.stack([(row[-1] - row[0]).float() for row in rows])
    assert 0.35 < (spans < 0).float().mean() < 0.65, "half of the crops are mirrored"
    assert spans.abs().max() > 46 and spans.abs().min() < 27, "squares from the whole short side to half of it"
    assert min(row.min() for row in rows) < 4 and max(row.max() for row in rows) > 95, "from edge to edge"
    straight = samples(Photos(tmp_path), size=25, shorts=(25, 38), flip=False)
    assert all((straight[i][0, 12, -1] > straight[i][0, 12, 0]) for i in range(20))


def test_a_crops_place_across_and_down_are_drawn_apart(tmp_path):
    y, x = np.mgrid[:60, :60]
    Image.fromarray(np.stack([4 * x, 4 * y, 0 * x], axis=-1).astype(np.uint8)).save(tmp_path / "ramps.png")
    data = samples(Photos(tmp_path), size=20, shorts=(60, 60), flip=False)
    corners = np.array([data[i][:2, 0, 0].numpy() / 4 for i in range(200)])
    assert corners.min() < 2 and (corners.max(axis=0) > 38).all()
    assert abs(np.corrcoef(corners.T)[0, 1]) < 0.2


def test_a_large_jpeg_is_decoded_as_sharp_as_its_crops_are_seen(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (100, 125, 3)).astype(np.uint8)
    large = Image.fromarray(noise).resize((1000, 800), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", quality=98)
    found = samples(Photos(tmp_path), size=400, shorts=(400, 400), flip=False)[0].numpy()
    seen = np.array(large.resize((500, 400), Image.Resampling.LANCZOS)).transpose(2, 0, 1).astype(int)
    errors = [np.abs(seen[:, :, left : left + 400] - found).mean() for left in range(101)]
    assert min(errors) < 3


def test_crop_is_centred_and_small_photos_are_enlarged():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3)).astype(np.uint8)
    assert (crop(pixels, 30, 30, 0.5, 0.5) == pixels[:, 10:40]).all()
    assert (crop(pixels, 10, 30, 1.0, 0.0) == pixels[20:, :10]).all()
    assert crop(pixels, 64, 80, 0.3, 1.0).shape == (64, 64, 3)


def test_exif_orientation_reaches_the_crop(tmp_path):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right: what is left comes up
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    held, _ = hold_out(Photos(tmp_path), 1, 32)
    assert held[0][0] == "00_turned"
    assert held[0][1][:, :14].float().mean() > 240 and held[0][1][:, 18:].float().mean() < 15


def test_unreadable_files_are_replaced_and_counted_once(tmp_path):
    make_photos(tmp_path, 6)
    for index in range(3):
        (tmp_path / f"a/damaged{index}.jpg").write_bytes(b"\xff\xd8 nothing")
    photos = Photos(tmp_path)
    data = samples(photos)
    first = [data[i] for i in range(27)]
    assert photos.skipped == 3
    again = samples(Photos(tmp_path))
    assert all(torch.equal(again[i], first[i]) for i in (26, 13, 4, 0)), "the replacement is drawn by the sample"


def test_photos_that_vanish_end_in_an_error(tmp_path):
    photos = Photos(make_photos(tmp_path, 4))
    data = samples(photos)
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    assert isinstance(data[0], UserError) and "can be read any more" in str(data[0])


def test_held_out_photos_do_not_depend_on_the_seed_or_on_luck(tmp_path):
    photos = Photos(make_photos(tmp_path, 40))
    held, rest = split(photos, 5, 16)
    again, _ = split(Photos(tmp_path), 5, 16)
    assert [name for name, _ in held] == [name for name, _ in again]
    assert len(held) == 5 and len(rest) == 35 and rest == sorted(rest)
    stems = {name[3:] for name, _ in held}
    assert not stems & {photos.name(index)[2:-4] for index in rest}
    # Another photo in the folder moves at most one of them.
    make_photos(tmp_path, 41)
    more = {name[3:] for name, _ in split(Photos(tmp_path), 5, 16)[0]}
    assert len(stems & more) >= 4


@pytest.mark.skipif(os.name != "posix", reason="file names are text there")
def test_a_photo_whose_name_is_no_text_is_held_out_as_any_other(tmp_path):
    make_photos(tmp_path, 1)
    try:
        (tmp_path / "a/photo000.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    except OSError:
        pytest.skip("a file system that takes no such name")
    assert len(hold_out(Photos(tmp_path), 1, 16)[0]) == 1


def test_at_most_a_fifth_is_held_out_and_at_least_one(tmp_path):
    assert len(split(Photos(make_photos(tmp_path / "ten", 10)), 16, 16)[0]) == 2
    assert len(split(Photos(make_photos(tmp_path / "two", 2)), 16, 16)[0]) == 1


def test_too_few_photos(tmp_path):
    with pytest.raises(UserError, match="too few photos"):
        split(Photos(make_photos(tmp_path / "one", 1)), 4, 16)
    make_photos(tmp_path / "damaged", 1)
    (tmp_path / "damaged/c.jpg").write_bytes(b"nothing")
    (tmp_path / "damaged/d.jpg").write_bytes(b"nothing")
    with pytest.raises(UserError, match="needs one besides the 1 held out"):
        split(Photos(tmp_path / "damaged"), 4, 16)
    (tmp_path / "damaged/a/photo000.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of the 3 images"):
        split(Photos(tmp_path / "damaged"), 4, 16)


def test_ranks_share_out_what_one_process_would_do():
    alone = list(islice(EndlessBatches(12, rank=0, world=1, step=lambda: 5), 4))
    assert alone[0] == list(range(60, 72)) and alone[3][-1] == 107
    ranks = [list(islice(EndlessBatches(4, rank=rank, world=3, step=lambda: 5), 4)) for rank in range(3)]
    for step in range(4):
        assert sorted(chain(*(rank[step] for rank in ranks))) == alone[step]
        assert [rank[step][0] for rank in ranks] == alone[step][:3], "every third index from the rank on"
