"""Serve the offline version (docs/offline.md) next to the app, if it has been built."""

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from bears.files import HOME, fingerprint
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

SITE = HOME / "site"  # the default output folder of `python3 -m bears offline`
LIST = re.compile(rb"^const FILES = (\{.*\})$", re.M)  # the list of files in its service worker
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; manifest-src 'self'; base-uri 'none';"
    " form-action 'none'"
)
TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}


def files_of(folder: Path) -> dict[str, str]:
    """Return the files of an offline version in `folder`, except its service worker, with the SHA-256 of each.

    The dict is empty if there is none, or if its list has a file outside of the folder.
    """
    try:
        listed = json.loads(LIST.search((folder / "sw.js").read_bytes())[1])
        found = {unquote(name): digest for name, digest in listed.items()}
        return found if all(is_inside(folder, name) for name in found) else {}
    except (OSError, TypeError, ValueError, RuntimeError):  # for example links in a circle
        return {}


def is_inside(folder: Path, name: str) -> bool:
    """Return whether a file of this name is inside of `folder` after all links are followed."""
    return folder.resolve() in (folder / name).resolve().parents


@cache  # all files are read only once, and the app's link and routes agree
def find_site(export: Path, folder: Path = SITE) -> dict[str, Path]:
    """Return the files of the offline version built from `export`, by name. The dict is empty if it is incomplete."""
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


def routes(export: Path) -> list[Mount]:
    """Return the routes of the offline version for the app, or an empty list if there is none for this export."""
    files = find_site(export)
    return [Mount("/offline", OfflineVersion(SITE, files))] if files else []


class OfflineVersion(StaticFiles):
    """Serve the named files of a folder, with a content security policy and the same types on all machines."""

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
