"""Download the two files of ONNX Runtime Web, which runs the ONNX graph in a browser, and cache them."""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from bears.download import Web
from bears.errors import DownloadError, OfflineError
from bears.files import check_writable, write_whole
from platformdirs import user_cache_path

VERSION = "1.30.0"
CDN = "https://cdn.jsdelivr.net/npm"  # the environment variable BEARS_CDN can name another host with npm's packages
MODULE, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
FILES = {
    MODULE: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}


def folder() -> Path:
    """Return the folder for ONNX Runtime Web in the user's cache."""
    return user_cache_path("bears") / f"onnxruntime-web-{VERSION}"


def fetch_runtime() -> dict[str, bytes]:
    """Return ONNX Runtime Web's files as a dict from name to contents. Download files that are not in the cache.

    Raises `OfflineError`.
    """
    check_writable(folder(), "XDG_CACHE_HOME")
    return {name: kept(folder() / name, digest) or fetch(name, digest) for name, digest in FILES.items()}


def kept(file, digest):
    data = file.read_bytes() if file.is_file() else b""
    return data if hashlib.sha256(data).hexdigest() == digest else None


def fetch(name, digest):
    url = f"{os.getenv('BEARS_CDN') or CDN}/onnxruntime-web@{VERSION}/dist/{name}"
    try:
        with Web(own_machine(url), pauses=(1,)) as web:
            data = web.fetch(url)
    except DownloadError as e:
        raise OfflineError(
            f"Couldn't download {url} ({e}). Check your network, or save that file in {folder()}, then try again."
        ) from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise OfflineError(
            f"The checksum of {url} is wrong, so it was not used. Check your network or mirror, then try again."
        )
    write_whole(folder() / name, data)
    return data


def own_machine(url):
    """Return {(IP, port)} for a URL on this machine, which `Web` would otherwise block, or () for another URL."""
    parts = urlsplit(url)
    return {("127.0.0.1", parts.port)} if parts.hostname == "127.0.0.1" else ()
