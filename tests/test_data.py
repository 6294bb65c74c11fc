"""Test a folder of photos: near-duplicates are found in folders of any size, and mistakes are reported."""

import shutil
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from bears.clean.ranking import read_photos
from bears.errors import DataError
from bears.learning import near_duplicates
from bears.learning.data import find_all_photos, find_photos, folder_of, grouped_folds, in_threads
from bears.learning.near_duplicates import MAX_HASH_DISTANCE, connect, group_near_duplicates
from scipy.sparse.csgraph import connected_components

NOISE = np.random.default_rng(0)


def noise(n):
    """Return random hashes of `n` photos, upright and mirrored."""
    return NOISE.integers(0, 2**16, (2, n, 4), np.uint16)


def blurred(hashes, share):
    """Return the hashes with this share of their bits changed."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=-1)
    return np.packbits(bits ^ (NOISE.random(bits.shape) < share), axis=-1).view(np.uint16)


def each_with_all_others(upright, mirrored):
    upright, mirrored = (np.unpackbits(h.view(np.uint8), axis=1) * 2.0 - 1 for h in (upright, mirrored))
    agree = np.maximum(upright @ upright.T, upright @ mirrored.T)
    return connected_components(agree >= 64 - 2 * MAX_HASH_DISTANCE)[1]


@pytest.mark.parametrize("share", [0.02, 0.05, 0.08, 0.12])
def test_near_duplicates_are_those_that_a_comparison_of_each_with_all_others_finds(share):
    upright, mirrored = blurred(np.repeat(noise(60), 10, axis=1), share)
    mirrored[::3] = blurred(np.roll(upright, 7, axis=0), share)[::3]  # some are mirror images of some others
    order = NOISE.permutation(600)
    groups = connect(upright[order], mirrored[order], MAX_HASH_DISTANCE)
    assert groups.tolist() == each_with_all_others(upright[order], mirrored[order]).tolist()
    assert 1 <= len(set(groups)) < 600


@pytest.mark.parametrize("bits, groups", [(10, 1), (11, 2), (12, 2)])
def test_photos_are_near_duplicates_up_to_ten_bits_of_their_hashes(monkeypatch, bits, groups):
    """Call `group_near_duplicates` with hashes instead of photos."""
    one = np.zeros((2, 64), bool)
    one[1, ::2] = True  # the mirrored hash is independent of the upright one
    other = one.copy()
    other[:, np.arange(bits) * 5] ^= True
    hashes = {"a": np.packbits(one).tobytes(), "b": np.packbits(other).tobytes()}
    monkeypatch.setattr(near_duplicates, "phash_both_ways", hashes.get)
    assert len(set(group_near_duplicates(["a", "b"]))) == groups
    mirrored = {"a": hashes["a"], "b": np.packbits(other[::-1]).tobytes()}
    monkeypatch.setattr(near_duplicates, "phash_both_ways", mirrored.get)
    assert len(set(group_near_duplicates(["a", "b"]))) == groups


def test_four_times_the_photos_take_about_four_times_the_time_and_hardly_more_memory():
    seconds, peaks = [], []
    for hashes in (noise(1000), noise(4000)):
        start = time.process_time()
        assert len(set(connect(*hashes, MAX_HASH_DISTANCE))) >= 0.99 * hashes.shape[1]
        seconds.append(time.process_time() - start)
        tracemalloc.start()
        connect(*hashes, MAX_HASH_DISTANCE)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert seconds[1] < 8 * seconds[0]  # there are sixteen times as many pairs
    assert peaks[1] - peaks[0] < 3000 * 400  # bytes per additional photo


def test_one_picture_taken_many_times_fills_no_memory():
    upright, mirrored = blurred(np.repeat(noise(1), 5000, axis=1), 0.05)
    tracemalloc.start()
    assert len(set(connect(upright, mirrored, MAX_HASH_DISTANCE))) == 1
    assert tracemalloc.get_traced_memory()[1] < 30_000_000  # less than the twenty-five million pairs would take
    tracemalloc.stop()


def test_going_through_the_photos_keeps_nothing_of_them():
    tracemalloc.start()
    assert sum(in_threads(len, [b"photo"] * 20_000)) == 100_000
    assert tracemalloc.get_traced_memory()[1] < 20_000 * 200
    tracemalloc.stop()


@pytest.fixture
def data(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / "data")


def test_one_photo_in_a_folder_of_a_class_is_explained_by_the_refusal(data, capsys):
    (data / "square" / "holidays").mkdir()
    shutil.copy(data / "square" / "00.jpg", data / "square" / "holidays" / "1.jpg")
    with pytest.raises(DataError) as refused:
        find_photos(data)
    assert str(refused.value) == (
        "Photos in square/holidays count as the class holidays, which has 1 readable photo. Move them up into square."
        " Or, if holidays is a class of its own, move its folder next to square and add photos until it has two."
    )
    assert "square/holidays count as the class holidays" in capsys.readouterr().out


def test_one_photo_in_a_folder_beside_the_others_is_a_class_that_needs_more(data):
    (data / "holidays").mkdir()
    shutil.copy(data / "square" / "00.jpg", data / "holidays")
    with pytest.raises(DataError, match=r"The class holidays in .* has 1 readable photo\. Add photos"):
        find_photos(data)


def test_the_class_of_copies_and_the_class_with_too_few_photos_are_named(shapes):
    files = sorted(shapes.glob("*/*.jpg"))
    with pytest.raises(DataError, match="The class square has only copies of one photo"):
        grouped_folds(files, np.array([*range(16), *[16] * 16]))
    with pytest.raises(DataError, match="The class disc has too few different photos"):
        grouped_folds(files[13:18], np.array([3, 2, 3, 1, 3]))


def test_a_refused_photo_is_reported_without_advice_for_the_page(data):
    (data / "disc" / "broken.jpg").write_bytes((data / "disc" / "00.jpg").read_bytes()[:500])
    (data / "disc" / "text.jpg").write_bytes(b"text")
    assert find_photos(data)[1] == {
        "disc/broken.jpg": "This photo is damaged or incomplete",
        "disc/text.jpg": "This file is not a photo that can be opened here",
    }


def test_cleaning_knows_every_class_also_when_every_second_photo_is_of_the_same(shapes, tmp_path):
    for part, name in (("one", "00.jpg"), ("two", "01.jpg")):
        for label in ("disc", "square"):
            (tmp_path / part / label).mkdir(parents=True)
            shutil.copy(shapes / label / name, tmp_path / part / label)
    files, _ = find_photos(tmp_path)
    learn, features, targets = read_photos(files)
    assert list(learn.dls.vocab) == ["disc", "square"]
    assert targets.tolist() == [0, 1, 0, 1] and len(features) == 4


@pytest.mark.parametrize(
    "lose, sentence",
    [(Path.unlink, "was moved or deleted in the meantime"), (Path.touch, "was changed in the meantime")],
)
def test_a_photo_that_goes_or_breaks_before_it_is_compared_is_one_sentence(shapes, tmp_path, lose, sentence):
    data = shutil.copytree(shapes, tmp_path / "data")
    files = find_photos(data)[0]
    files[3].write_bytes(b"")
    lose(files[3])
    with pytest.raises(DataError, match=sentence):
        group_near_duplicates(files)


def test_several_folders_make_one_data_set_and_their_near_duplicates_one_group(shapes, tmp_path):
    more = tmp_path / "more"
    for name in ("disc/00.jpg", "disc/01.jpg"):
        (more / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shapes / name, more / name)
    (more / "disc" / "02.jpg").write_text("no photo")
    (tmp_path / "list.csv").write_text("file,reason\nsquare/03.jpg,blurred\n")
    files, dropped = find_all_photos([shapes, more, shapes], tmp_path / "list.csv")
    assert len(files) == 31 + 2 and len(set(files)) == len(files)
    assert set(dropped) == {f"{shapes}/square/03.jpg", f"{more}/disc/02.jpg"}
    groups = dict(zip(files, group_near_duplicates(files)))
    for name in ("disc/00.jpg", "disc/01.jpg"):
        assert groups[shapes / name] == groups[more / name]
    assert folder_of(more / "disc" / "00.jpg", [shapes, more]) == more


def test_one_folder_may_have_a_single_class_if_another_has_more(shapes, tmp_path):
    shutil.copytree(shapes / "disc", tmp_path / "disc")
    assert len(find_all_photos([tmp_path, shapes])[0]) == 48
    with pytest.raises(DataError, match="at least two folders"):
        find_all_photos([tmp_path])


def test_nothing_is_learnt_from_visitors_photos_that_nobody_has_reviewed(shapes, tmp_path):
    for folder in ("unreviewed", "reviewed"):
        shutil.copytree(shapes, tmp_path / folder)
    files, _ = find_photos(tmp_path)
    assert len(files) == 32 and all("reviewed" in f.parts for f in files)
    with pytest.raises(DataError, match="that nobody has reviewed"):
        find_photos(tmp_path / "unreviewed")
