"""Download the training photos of the shipped model, or take them from the cache of an earlier run.

The photos' licences are unknown, so this repository doesn't contain them. photos.csv lists the URL and the SHA-256 of
each original file.
"""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

from bears.download import WORKERS, Web, fetch_photos
from bears.errors import DataError, DownloadError, TryLater
from bears.files import check_writable, write_whole
from bears.model.photo import small_jpeg
from bears.text import read_table
from bears.train.shipped_model import PHOTOS
from fastai.data.external import fastai_path
from tqdm import tqdm

MAX_WAIT = 3600  # seconds; the longest wait if a server asks for a pause
MIN_PHOTOS = 2  # of each class
WHAT_TO_DO = "Check your network and run the command again to continue, or use your own photos with --data."


def shipped_photos(table=PHOTOS, root=None, web=None) -> Path:
    """Return a folder with the photos that `table` lists, one subfolder per class.

    Photos that are not in the cache are downloaded. The cache is in `root`, by default the folder `bears` in fastai's
    data folder. Prints which photos can no longer be downloaded.
    Raises `DataError` if the network fails in the first run, or if a class has fewer than two photos.
    """
    root = root or fastai_folder()
    check_writable(root / "by_sha256", "FASTAI_HOME")
    folder = root / hashlib.sha256(table.read_bytes()).hexdigest()[:8]  # one folder for each table
    rows = read_table(table)  # columns: label, file, url; sha256, bytes, width, height of the original
    cache = read_cache(root / "by_sha256")
    if missing := [row for row in rows if row["sha256"] not in cache]:
        try:
            report(fetch_missing(missing, root / "by_sha256", web or Web()))
        except TryLater as e:
            if not folder.exists():
                raise DataError(f"The photos can't be downloaded now ({e}). {WHAT_TO_DO}") from None
            print(f"· using the photos of an earlier run, because the missing ones can't be downloaded now ({e})")
        cache = read_cache(root / "by_sha256")
    check_classes(rows, cache)
    link_photos(rows, cache, folder)
    return folder


def fastai_folder():
    try:
        return fastai_path("data") / "bears"
    except OSError as e:
        raise DataError(f"Can't create fastai's folder ({e}). Set FASTAI_HOME to one that you can write to.") from None


def read_cache(folder):
    """Return a dict from the SHA-256 of each original photo to the file of its small copy. Delete damaged copies.

    The file name of a copy contains the original photo's SHA-256, and the start of the copy's own SHA-256.
    """
    cache = {}
    for file in folder.glob("*.jpg"):
        if file.name == cache_name(file.stem[:64], file.read_bytes()):
            cache[file.stem[:64]] = file
        else:
            file.unlink()
    return cache


def cache_name(sha256, jpeg):
    return f"{sha256}-{hashlib.sha256(jpeg).hexdigest()[:16]}.jpg"


def fetch_missing(rows, folder, web):
    """Download photos into the cache `folder`. Return a dict from the file name of each failed download to its error.

    Raises `TryLater` if four downloads in a row fail because the server is busy or doesn't answer. Then the network is
    the likely reason.
    """
    size = sum(int(row["bytes"]) for row in rows)
    print(f"· fetching {len(rows)} photos ({size / 1e6:.0f} MB) into {folder}", flush=True)
    gone, silent = {}, 0
    with web, tqdm(total=len(rows), unit="photo", disable=None, leave=False) as bar:
        for row, photo in fetch_photos(web, rows, small_jpeg, MAX_WAIT):
            silent = silent + 1 if isinstance(photo, TryLater) else 0
            if silent == min(WORKERS, len(rows)):
                raise photo
            if isinstance(photo, DownloadError):
                gone[row["file"]] = photo
            else:
                write_whole(folder / cache_name(*photo), photo[1])
            bar.update()
    return gone


def report(gone):
    """Print a line for each of the first ten photos that could not be downloaded, then the number of further ones."""
    for file, problem in list(gone.items())[:10]:
        print(f"· without {file}: {problem}")
    if len(gone) > 10:
        print(f"· and without {len(gone) - 10} more")


def check_classes(rows, cache):
    """Raise `DataError` if the cache has fewer than `MIN_PHOTOS` photos of a class in the table."""
    counts = Counter(row["label"] for row in rows if row["sha256"] in cache)
    for label in sorted({row["label"] for row in rows}):
        if counts[label] < MIN_PHOTOS:
            raise DataError(f"Only {counts[label]} photos of the class {label} can be downloaded. {WHAT_TO_DO}")


def link_photos(rows, cache, folder):
    """Link (or copy) the cached photos into `folder`, under their names in the table."""
    for row in rows:
        link, file = folder / row["file"], cache.get(row["sha256"])
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        if file is not None:
            try:
                os.link(file, link)
            except OSError:  # a file system without hard links
                shutil.copyfile(file, link)
