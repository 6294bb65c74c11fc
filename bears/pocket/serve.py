"""Serve a folder of static files on this machine, as any host does."""

import mimetypes
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bears.app.pocket import TYPES
from bears.errors import PocketError
from bears.lifecycle import no_page


class Quiet(SimpleHTTPRequestHandler):
    extensions_map = mimetypes.types_map | TYPES

    def log_message(self, *args):
        pass


def serve(folder: Path, port: int) -> None:
    """Serve until Ctrl-C; raises `PocketError` when the port cannot be used."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=folder))
    except (OSError, OverflowError) as e:
        raise PocketError(
            no_page(e) if isinstance(e, OSError) else "There is no such port: leave out --port."
        ) from None
    server.daemon_threads = True
    print(f"The page is at http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()
