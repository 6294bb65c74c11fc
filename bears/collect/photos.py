"""Search for photos of each class, and download them into a folder with a list of their authors."""

import re
from itertools import islice
from pathlib import Path

from bears.collect.attribution import Collection
from bears.download import Web, fetch_photos
from bears.errors import DataError, DownloadError
from bears.files import check_writable
from bears.model.photo import small_jpeg
from tqdm import tqdm

AT_ONCE = 20  # photos that are requested together
ON_WINDOWS_A_DEVICE = r"(con|prn|aux|nul|com\d|lpt\d)"


def class_folders(queries):
    """Return a dict from class to query. The name of a class, and of its folder, is the query without punctuation.

    Raises `DataError` if two queries would get the same folder, or if a query can't be the name of a folder.
    """
    labels = {}
    for query in queries:
        label = " ".join(re.sub(r"[^\w-]", " ", query).split())[:60].strip(" -")
        if not label or re.fullmatch(ON_WINDOWS_A_DEVICE, label.lower()):
            raise DataError(f"“{query}” can't be the name of a folder. Search for other words.")
        if label.lower() in (known.lower() for known in labels):
            raise DataError(f"Two searches would share the folder {label}. Leave out one of them.")
        labels[label] = query
    return labels


def collect(queries, to, per_class=150, web=None, *, search):
    """Download up to `per_class` photos for each of `queries`. Each query gets its own folder in `to`.

    `search(query, web)` is a generator like `openverse` in bears/collect/openverse.py. Raises `DataError`. Raises
    `DownloadError` if the search fails, and `ExportError` if `to` can't be written to. After an error, the downloaded
    photos are kept.
    """
    labels = class_folders(queries)
    check_writable(to)
    collection = Collection(Path(to))
    with web or Web() as web:
        for label, query in labels.items():
            collect_class(label, search(query, web), per_class, collection, web)
            tqdm.write(f"{label}: {collection.count(label)} photos")


def collect_class(label, results, per_class, collection, web):
    """Download photos from `results`, in order, until the class has `per_class` photos. Skip unreadable ones."""
    missing = per_class - collection.count(label)
    fresh = (result for result in results if not collection.has(result["url"], label))
    with tqdm(total=per_class, initial=per_class - missing, desc=label, unit="photo", disable=None, leave=False) as bar:
        while missing > 0 and (page := list(islice(fresh, min(missing, AT_ONCE)))):
            for result, photo in fetch_photos(web, page, small_jpeg):
                if isinstance(photo, DownloadError):
                    tqdm.write(f"{result['url']!r}: {photo}")
                else:
                    kept = collection.keep(label, result, *photo)
                    missing -= kept
                    bar.update(kept)
