"""Search Openverse for openly licensed photos (https://api.openverse.org)."""

import json
import time

from bears.errors import DownloadError

API = "https://api.openverse.org/v1/images/"
PAGE_SIZE, MAX_RESULTS = 20, 240  # photos per page and per query; Openverse gives no more without a key
PAUSE = 3  # seconds between two pages, since Openverse allows 20 requests a minute
MAX_WAIT = 24 * 3600  # seconds; the longest wait, since Openverse also limits the requests per day


def openverse(query, web, api=API, pause=PAUSE):
    """Search Openverse. Yield a dict for each photo, with all columns of attribution.csv except `file`.

    To search another website, pass a function of (query, web) as `search` to `main` in bears/collect/__main__.py. A
    search function must yield dicts with at least `url`. Raises `DownloadError`.
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
    """Convert Openverse's description of a photo to a row of attribution.csv, without the column `file`."""
    row = {column: photo[column] or "" for column in ("title", "creator", "license_url", "url")}
    license = f"{photo['license']} {photo['license_version'] or ''}".strip()
    return row | {"license": license, "source": photo["foreign_landing_url"] or ""}
