"""Openverse, the one source of photos that `collect` knows by itself: openly licensed ones, with their licences.

https://api.openverse.org
"""

import json
import time

from bears.errors import DownloadError

API = "https://api.openverse.org/v1/images/"
PAGE_SIZE, MAX_RESULTS = 20, 240  # photos per page, and per query, that Openverse gives without a key
PAUSE = 3  # seconds from page to page: it answers 20 times a minute
MAX_WAIT = 24 * 3600  # seconds that we wait for it at most: it counts by the day, too


def openverse(query, web, api=API, pause=PAUSE):
    """Search Openverse; yields a dict per photo: its `url`, and what else is known of attribution.csv's `COLUMNS`.

    Any other function of (query, web) that yields such dicts is a source, too, and `url` is all that they must have:
    `main` in bears/collect/__main__.py chooses it, and has the limit `MAX_RESULTS`. Raises `DownloadError`.
    """
    for page in range(1, MAX_RESULTS // PAGE_SIZE + 1):
        start = time.monotonic()
        answer = web.fetch(api, {"q": query, "page": page, "page_size": PAGE_SIZE}, patience=MAX_WAIT)
        try:
            answer = json.loads(answer)
            yield from map(as_row, answer["results"])
            if page >= answer["page_count"]:
                return
        except (ValueError, KeyError, TypeError):
            raise DownloadError("unexpected reply from Openverse") from None
        time.sleep(max(0, start + pause - time.monotonic()))


def as_row(photo):
    """Return what Openverse says about a photo, by the names of `COLUMNS`."""
    row = {column: photo[column] or "" for column in ("title", "creator", "license_url", "url")}
    license = f"{photo['license']} {photo['license_version'] or ''}".strip()
    return row | {"license": license, "source": photo["foreign_landing_url"] or ""}
