"""Collect openly licensed photos of your own classes from Openverse, ready for train.py.

python3 -m bears collect "grizzly bear" "black bear" "teddy bear" --to my_photos

Makes one folder of photos per search, and attribution.csv, which names the licence, author and source page of each.
The same command goes on where an earlier run was interrupted. https://openverse.org
"""

import argparse
import json
import re
import sys
import time
from itertools import islice
from pathlib import Path

from bears.lifecycle import begin, end_in_order

API = "https://api.openverse.org/v1/images/"
PAGE_SIZE, MOST = 20, 240  # photos per page, and per query, that Openverse gives without a key
PAUSE = 3  # seconds from page to page: it answers 20 times a minute
PATIENCE = 24 * 3600  # seconds that we wait for it at most: it counts by the day, too
ON_WINDOWS_A_DEVICE = r"(con|prn|aux|nul|com\d|lpt\d)"


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", metavar="QUERY", nargs="+", help="what to search for; the name of its class, too")
    parser.add_argument("--to", metavar="DIR", type=Path, required=True, help="folder for one folder per class")
    parser.add_argument(
        "--per-class", type=int, metavar="N", default=150, help=f"photos, {MOST} at most (default: 150)"
    )
    args = parser.parse_args(argv)
    if not 1 <= args.per_class <= MOST:
        parser.error(f"--per-class is a number from 1 to {MOST}, which is all that Openverse gives")
    return args


if __name__ == "__main__":
    begin(parse_args)

from bears.collect.attribution import Collection
from bears.download import Web, fetch_photos
from bears.errors import DataError, DownloadError, ExportError
from bears.files import check_writable
from tqdm import tqdm


def openverse(query, web, api=API, pause=PAUSE):
    """Search Openverse; yields a dict per photo: its `url`, and what else is known of attribution.csv's `COLUMNS`.

    Any other function like this is a source for `collect`, too. Raises `DownloadError`.
    """
    for page in range(1, MOST // PAGE_SIZE + 1):
        start = time.monotonic()
        answer = web.fetch(api, {"q": query, "page": page, "page_size": PAGE_SIZE}, patience=PATIENCE)
        try:
            answer = json.loads(answer)
            yield from map(as_row, answer["results"])
            if page >= answer["page_count"]:
                return
        except (ValueError, KeyError, TypeError):
            raise DownloadError("what came is no answer of Openverse's API") from None
        time.sleep(max(0, start + pause - time.monotonic()))


def as_row(photo):
    """What Openverse says of a photo, by the names of `COLUMNS`."""
    row = {column: photo[column] or "" for column in ("title", "creator", "license_url", "url")}
    license = f"{photo['license']} {photo['license_version'] or ''}".strip()
    return row | {"license": license, "source": photo["foreign_landing_url"] or ""}


def class_folders(queries):
    """A dict from class, which is also the name of its folder, to query. Raises `DataError` when two would be one."""
    labels = {}
    for query in queries:
        label = " ".join(re.sub(r"[^\w-]", " ", query).split())[:60].strip(" -")
        if not label or re.fullmatch(ON_WINDOWS_A_DEVICE, label.lower()):
            raise DataError(f"“{query}” cannot be the name of a folder: search for other words.")
        if label.lower() in (known.lower() for known in labels):
            raise DataError(f"Two searches would share the folder {label}: leave out one of them.")
        labels[label] = query
    return labels


def collect(queries, to, per_class=150, web=None, search=openverse):
    """Fill the folder `to` with up to `per_class` photos for each of `queries`, each in a folder of its own.

    `search(query, web)` is a generator like `openverse`. Raises `DataError`, `DownloadError` when the search fails,
    and `ExportError` when `to` cannot be written to; what has come until then is kept.
    """
    labels = class_folders(queries)
    check_writable(to, "--to")
    collection = Collection(Path(to))
    with web or Web() as web:
        for label, query in labels.items():
            collect_class(label, search(query, web), per_class, collection, web)
            tqdm.write(f"{label}: {collection.count(label)} photos")


def collect_class(label, results, per_class, collection, web):
    """Keep the first `per_class` photos of `results` that can be had, a page at a time, in their order."""
    missing = per_class - collection.count(label)
    fresh = (result for result in results if not collection.has(result["url"], label))
    with tqdm(total=per_class, initial=per_class - missing, desc=label, unit="photo", disable=None, leave=False) as bar:
        while missing > 0 and (page := list(islice(fresh, min(missing, PAGE_SIZE)))):
            for result, photo in fetch_photos(web, page):
                if isinstance(photo, DownloadError):
                    tqdm.write(f"{result['url']!r}: {photo}")
                else:
                    kept = collection.keep(label, result, *photo)
                    missing -= kept
                    bar.update(kept)


def main(argv=None, **kwargs):
    args = parse_args(argv)
    try:
        end_in_order()
        collect(args.queries, args.to, args.per_class, **kwargs)
    except KeyboardInterrupt:
        sys.exit("bears.collect: stopped. What has come is kept; the same command goes on from here.")
    except DownloadError as e:
        sys.exit(f"bears.collect: the search failed ({e}). What has come is kept; the same command goes on from here.")
    except (DataError, ExportError) as e:
        sys.exit(f"bears.collect: {e}")


if __name__ == "__main__":
    main()
