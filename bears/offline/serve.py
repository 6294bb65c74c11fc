"""Serve a folder of static files on this machine."""

import mimetypes
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bears.cli import no_page
from bears.errors import OfflineError
from bears.static_site import TYPES


class Quiet(SimpleHTTPRequestHandler):
    extensions_map = mimetypes.types_map | TYPES

    def log_message(self, *args):
        pass


def serve(folder: Path, port: int) -> None:
    """Serve a folder until you press Ctrl-C. Raises `OfflineError` if the port can't be used."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=folder))
    except (OSError, OverflowError) as e:
        raise OfflineError(
            no_page(e) if isinstance(e, OSError) else "There is no such port. Leave out --port."
        ) from None
    server.daemon_threads = True
    print(f"The offline version is at http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()
