"""Serve the offline version (docs/offline.md) at `/offline` of the app, if you have built it."""

import json
import math
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from bears.files import HOME, fingerprint
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

SITE = HOME / "site"  # the default output folder of `python3 -m bears offline`
LIST = re.compile(rb"^const FILES = (\{.*\})$", re.M)  # the list of files in the service worker, sw.js
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; manifest-src 'self'; base-uri 'none';"
    " form-action 'none'"
)
TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}


def files_of(folder: Path) -> dict[str, str]:
    """Return the files that an offline version lists in its service worker, as a dict from name to SHA-256.

    The dict is empty if `folder` has no offline version, or if a listed file is outside `folder`.
    """
    try:
        listed = json.loads(LIST.search((folder / "sw.js").read_bytes())[1])
        found = {unquote(name): digest for name, digest in listed.items()}
        return found if all(is_inside(folder, name) for name in found) else {}
    except (OSError, TypeError, ValueError, RuntimeError):  # for example, links in a circle
        return {}


def is_inside(folder: Path, name: str) -> bool:
    """Return whether the file `name` is really inside `folder`, after links are followed."""
    return folder.resolve() in (folder / name).resolve().parents


@cache  # read all files only once; the app's link and routes then always agree
def find_site(export: Path, folder: Path = SITE) -> dict[str, Path]:
    """Return the files of the offline version in `folder`, as a dict from name to path.

    The dict is empty if the offline version is incomplete, or built from another file than `export`.
    """
    files = files_of(folder)
    try:
        whole = (
            bool(files)
            and json.loads((folder / "model.json").read_bytes())["export"] == fingerprint(export)
            and all(fingerprint(folder / name) == digest for name, digest in files.items())
        )
    except (OSError, TypeError, ValueError, KeyError):
        whole = False
    return {name: folder / name for name in (*files, "sw.js")} if whole else {}


def megabytes(export: Path) -> int:
    """Return the size of the offline version of `export` in megabytes, rounded up, or 0 if you haven't built it."""
    return math.ceil(sum(file.stat().st_size for file in find_site(export).values()) / 1e6)


def routes(export: Path) -> list[Mount]:
    """Return a list with the route of the offline version of `export`, or an empty list if you haven't built it."""
    files = find_site(export)
    return [Mount("/offline", OfflineVersion(SITE, files))] if files else []


class OfflineVersion(StaticFiles):
    """Serve the files `names` of a folder, with a content security policy and the right content types."""

    def __init__(self, folder, names):
        super().__init__(directory=folder)
        self.names = set(names)

    def lookup_path(self, path):
        name = "index.html" if path == "." else Path(path).as_posix()
        return super().lookup_path(name) if name in self.names else ("", None)

    async def get_response(self, path, scope):
        response = await super().get_response(path, scope)
        response.headers["content-security-policy"] = POLICY
        if kind := TYPES.get(Path(path).suffix):
            response.headers["content-type"] = kind
        return response
