"""The folder of photos: what nearly agrees is found however large it is, and what is wrong with it is said."""

import time
import tracemalloc

import numpy as np
import pytest
from bears.data import TWIN_BITS
from bears.near import connect
from scipy.sparse.csgraph import connected_components

NOISE = np.random.default_rng(0)


def noise(n):
    """Hashes of `n` photos, upright and mirrored, that have nothing to do with each other."""
    return NOISE.integers(0, 2**16, (2, n, 4), np.uint16)


def blurred(hashes, share):
    """The same hashes, but for that share of their bits."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=-1)
    return np.packbits(bits ^ (NOISE.random(bits.shape) < share), axis=-1).view(np.uint16)


def each_with_all_others(upright, mirrored):
    upright, mirrored = (np.unpackbits(h.view(np.uint8), axis=1) * 2.0 - 1 for h in (upright, mirrored))
    agree = np.maximum(upright @ upright.T, upright @ mirrored.T)
    return connected_components(agree >= 64 - 2 * TWIN_BITS)[1]


@pytest.mark.parametrize("share", [0.02, 0.05, 0.08, 0.12])
def test_near_duplicates_are_those_that_a_comparison_of_each_with_all_others_finds(share):
    upright, mirrored = blurred(np.repeat(noise(60), 10, axis=1), share)
    mirrored[::3] = blurred(np.roll(upright, 7, axis=0), share)[::3]  # some are mirror images of some others
    order = NOISE.permutation(600)
    groups = connect(upright[order], mirrored[order], TWIN_BITS)
    assert groups.tolist() == each_with_all_others(upright[order], mirrored[order]).tolist()
    assert 1 <= len(set(groups)) < 600


def test_four_times_the_photos_take_about_four_times_the_time_and_hardly_more_memory():
    seconds, peaks = [], []
    for hashes in (noise(1000), noise(4000)):
        start = time.process_time()
        assert len(set(connect(*hashes, TWIN_BITS))) >= 0.99 * hashes.shape[1]
        seconds.append(time.process_time() - start)
        tracemalloc.start()
        connect(*hashes, TWIN_BITS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert seconds[1] < 8 * seconds[0]  # of all pairs there are sixteen times as many
    assert peaks[1] - peaks[0] < 3000 * 400  # bytes for each photo more


def test_one_picture_taken_many_times_fills_no_memory():
    upright, mirrored = blurred(np.repeat(noise(1), 5000, axis=1), 0.05)
    tracemalloc.start()
    assert len(set(connect(upright, mirrored, TWIN_BITS))) == 1
    assert tracemalloc.get_traced_memory()[1] < 30_000_000  # twenty-five million pairs are no part of it
    tracemalloc.stop()
