"""Find near-duplicates: photos that differ only in size, compression or colours, or that are mirrored.

A group of near-duplicates must stay in one fold. Each photo gets a hash of 64 bits, and the hashes of near-duplicates
differ in at most 10 bits. The search for near-duplicates doesn't compare all pairs of photos. The library faiss is not
used, since it takes 60 MB and lists every pair of near-duplicates. Fifty thousand photos of one scene would give a
billion pairs.

This module doesn't find crops of a photo. The review page finds crops by their features (bears/clean/checks.py).
"""

from itertools import count
from pathlib import Path

import imagehash
import numpy as np
from bears.learning.data import explain_lost_photos, in_threads
from bears.model.photo import open_photo
from PIL import ImageOps

MAX_HASH_DISTANCE = 10  # photos whose 64-bit hashes differ in at most this many bits are near-duplicates
BITS = np.array([i.bit_count() for i in range(2**16)], np.uint8)  # the number of set bits in each 16-bit number


def group_near_duplicates(files: list[Path]) -> np.ndarray:
    """Group near-duplicates, including mirrored ones, by their perceptual hash (pHash, 64 bits).

    Returns an int array of shape (len(files),). Photos with the same number in it are in the same group. Crops are not
    found, since the hash of a crop differs too much.
    """
    with explain_lost_photos(files):
        hashes = list(in_threads(phash_both_ways, files))
    position = {both: i for i, both in enumerate(dict.fromkeys(hashes))}  # photos with equal hashes are treated as one
    upright, mirrored = np.hsplit(np.frombuffer(b"".join(position), np.uint16).reshape(-1, 8), 2)
    groups = connect(upright, mirrored, MAX_HASH_DISTANCE)
    return groups[[position[both] for both in hashes]]


def phash_both_ways(file):
    """Return the pHash of a photo and of its mirror image, 8 bytes each."""
    im = open_photo(file, side=128).convert("L")
    return np.packbits([imagehash.phash(im).hash, imagehash.phash(ImageOps.mirror(im)).hash]).tobytes()


def list_near_duplicates(files: list[Path], groups: list[int]) -> list[list[str]]:
    """Return a list of names (`class/name`) for each group of two or more near-duplicates, for the training report."""
    members = {}
    for file, group in zip(files, groups):
        members.setdefault(group, []).append(f"{file.parent.name}/{file.name}")
    return sorted(names for names in members.values() if len(names) > 1)


class Bands:
    """Find all hashes that differ from a given hash in at most `radius` bits.

    `hashes` is uint16 of the shape (n, 4). Each hash has four bands of 16 bits. If two hashes differ in at most
    `radius` bits, at least one of their bands differs in at most `radius / 4` bits. The method `near` only compares
    hashes that have at least one similar band.
    """

    def __init__(self, hashes, radius):
        self.hashes, self.radius = hashes, radius
        self.flips = np.flatnonzero(radius // 4 >= BITS)
        self.band = np.arange(4)[:, None] << 16  # 65,536 buckets for each band
        buckets = (hashes.T + self.band).ravel()
        self.content = buckets.argsort(kind="stable") % max(1, len(hashes))
        self.starts = np.concatenate([[0], np.bincount(buckets, minlength=4 << 16).cumsum()])

    def near(self, hash):
        """Return the positions of all hashes within `radius` bits of `hash`. Positions may be repeated.

        `hash` is uint16 of the shape (4,).
        """
        buckets = ((hash[:, None] ^ self.flips) + self.band).ravel()
        starts, ends = self.starts[buckets], self.starts[buckets + 1]
        counts = ends - starts
        found = self.content[np.arange(counts.sum()) + np.repeat(ends - counts.cumsum(), counts)]
        return found[BITS[self.hashes[found] ^ hash].sum(axis=1) <= self.radius]


class Ungrouped:
    """Keep track of the photos that are not in a group yet.

    `upright` has the hashes of the photos, and `mirrored` the hashes of their mirror images. Both are uint16 of
    the shape (n, 4).
    """

    def __init__(self, upright, mirrored, radius):
        self.upright, self.mirrored, self.radius = upright, mirrored, radius
        self.free = np.ones(len(upright), bool)
        self.index()

    def index(self):
        self.left = self.free.nonzero()[0]
        self.bands = [Bands(hashes[self.left], self.radius) for hashes in (self.upright, self.mirrored)]

    def take(self, i):
        """Mark photo `i` and its ungrouped neighbours (see `connect`) as grouped. Return the neighbours' positions."""
        self.free[i] = False
        if 2 * np.count_nonzero(self.free) < len(self.left):
            self.index()
        upright, mirrored = self.bands
        found = [upright.near(self.upright[i]), upright.near(self.mirrored[i]), mirrored.near(self.upright[i])]
        found = self.left[np.concatenate(found)]
        found = np.unique(found[self.free[found]])
        self.free[found] = False
        return found.tolist()


def connect(upright: np.ndarray, mirrored: np.ndarray, radius: int) -> np.ndarray:
    """Group photos. Return an int array of shape (n,), in which the photos of a group have the same number.

    Two photos are neighbours if their hashes differ in at most `radius` bits, with or without mirroring one of them.
    Neighbours are always in the same group. The search for a photo's neighbours only returns photos without a group,
    so even large groups are found quickly.
    """
    groups, numbers = np.empty(len(upright), int), count()
    ungrouped = Ungrouped(upright, mirrored, radius)
    for first in range(len(groups)):
        if not ungrouped.free[first]:
            continue
        number, waiting = next(numbers), [first]
        while waiting:
            groups[waiting[-1]] = number
            waiting += ungrouped.take(waiting.pop())
    return groups
