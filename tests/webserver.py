"""Run a web server on this machine that can misbehave in many ways."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        page = self.server.pages.get(unquote(urlsplit(self.path).path))
        if callable(page):
            page(self)
        elif page is None:
            self.answer(b"", 404)
        else:
            self.answer(page)

    def answer(self, body, status=200, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class WebServer(ThreadingHTTPServer):
    """Serve `pages`, a dict from path to bytes or a function of the Handler. `asked` lists the requested paths."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked = {}, []
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address):
        """Ignore errors: tests want clients to hang up on endless answers."""

    def close(self):
        self.shutdown()
        self.server_close()


def draw_photo(seed, size=(600, 400), format="JPEG", **options):
    """Return the bytes of a photo that is different for each `seed`."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(out, format, **options)
    return out.getvalue()
