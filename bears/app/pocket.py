"""The page in the pocket (docs/pocket.md) beside this one, where it has been made: people can take it along."""

import hashlib
import json
import re
from pathlib import Path

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

SITE = Path(__file__).parents[2] / "site"  # where `python3 -m bears pocket` makes it
LIST = re.compile(rb"^const FILES = (\{.*\})$", re.M)  # in its service worker
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self';"
    " style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; manifest-src 'self'; base-uri 'none';"
    " form-action 'none'"
)
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}


def files_of(folder: Path) -> list[str]:
    """The names of the files of the page in `folder`, but for its service worker; none where there is no page."""
    try:
        found = LIST.search((folder / "sw.js").read_bytes())
        return [name for name in json.loads(found[1]) if not Path(name).is_absolute() and ".." not in name]
    except (OSError, TypeError, ValueError):
        return []


def fingerprint(export: Path) -> str:
    """By which a page knows the export that it was made from."""
    return hashlib.sha256(export.read_bytes()).hexdigest()


def find_pocket(export: Path, folder: Path = SITE) -> dict[str, Path]:
    """The files, by name, of the page that has been made from `export`; none where there is no such page."""
    names = files_of(folder)
    try:
        made_from = json.loads((folder / "model.json").read_bytes())["export"] if names else None
        same = made_from == fingerprint(export)
    except (OSError, TypeError, ValueError, KeyError):
        same = False
    return {name: folder / name for name in (*names, "sw.js")} if same else {}


def routes(export: Path) -> list[Mount]:
    """Where that page is served, below this one."""
    files = find_pocket(export)
    return [Mount("/pocket", Pocket(SITE, files))] if files else []


class Pocket(StaticFiles):
    """Some files of a folder, with a policy and with types that are the same on all machines."""

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
