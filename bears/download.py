"""Fetch from the web what strangers serve, search results and photos, with limits on seconds, bytes and pixels.

No address, redirect or name server can turn a connection against your own network (server-side request forgery,
SSRF). Each connection is checked at the address that it has really reached. If a proxy is set (`HTTPS_PROXY`), the
proxy connects, and has to check that itself.
"""

import contextlib
import hashlib
import io
import math
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from multiprocessing.pool import ThreadPool
from urllib.parse import urlsplit

import requests
from bears.errors import DownloadError, PhotoError, TryLater
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

WORKERS = 4  # downloads at a time: hosts of free photos frown on more
MAX_BYTES = 20 * 10**6  # of one file
BUSY = {429, 500, 502, 503, 504}  # answers that may be better at another time
TOO_MANY = 60  # seconds to wait after "429 Too Many Requests" that does not say how long
USER_AGENT = f"bears-lesson-2/1.0 (https://course.fast.ai/Lessons/lesson2.html) {requests.utils.default_user_agent()}"


def fetch_photos(web: "Web", wanted: Iterable[dict], shrink: Callable, patience=60) -> Iterator[tuple]:
    """Fetch photos, several at a time; `wanted` are dicts with a `url` and, if the file is known, its `sha256`.

    `shrink` turns the bytes of a file into those of a small photo, or raises `PhotoError`. Yields pairs in the order
    of `wanted`: the dict, and what `fetch_photo` returned or the `DownloadError` it raised.
    """

    def attempt(item):
        try:
            return item, fetch_photo(web, item["url"], shrink, item.get("sha256"), patience)
        except DownloadError as e:
            return item, e

    photos = web.pool.imap(attempt, wanted)
    while True:
        try:
            yield photos.next(timeout=0.5)
        except multiprocessing.TimeoutError:
            continue  # a wait without an end can miss Ctrl-C, and does on Windows
        except StopIteration:
            return


def fetch_photo(web, url, shrink, sha256=None, patience=60):
    """Fetch the file at `url`; returns its SHA-256 and the photo in it, as `shrink` makes it of the bytes.

    Raises `DownloadError` when it cannot be fetched, is not the file with that `sha256`, or shows no photo.
    """
    data = web.fetch(url, patience=patience)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, digest):
        raise DownloadError("the file has changed since the list was made")
    try:
        return digest, shrink(data)
    except PhotoError as e:
        raise DownloadError(e.reason) from None


class Web(requests.Session):
    """A session that reaches public addresses, and of the others only those in `allowed`: pairs of IP and port."""

    timeout = (10, 10)  # seconds to connect, and between two pieces of an answer

    def __init__(self, allowed=(), seconds=60, pauses=(1, 2, 4)):
        """`seconds` are what a whole answer may take, `pauses` those before the second, third and fourth try."""
        super().__init__()
        self.seconds, self.pauses, self.max_redirects = seconds, pauses, 5
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})  # photos are compressed already
        self.pauses_of, self.agreeing = {}, threading.Lock()  # by host: when its pause ends, and seconds waited so far
        self.pool = ThreadPool(WORKERS)  # after Ctrl-C, Python would wait for the threads of an executor
        for scheme in ("http://", "https://"):
            self.mount(scheme, GuardedAdapter(allowed, seconds, WORKERS))

    def close(self):
        self.pool.terminate()
        super().close()

    def fetch(self, url: str, params=None, patience=60) -> bytes:
        """Return the body of the answer, up to `MAX_BYTES` bytes. Safe from several threads.

        A server that gives no answer is asked again; one that says how long to wait is waited for, up to `patience`
        seconds, once for all workers. Raises `DownloadError`, or `TryLater` when that was all in vain.
        """
        left = patience
        for pause in self.pauses:
            try:
                body = self.fetch_once(url, params)
                self.pauses_of.pop(urlsplit(url).hostname, None)
                return body
            except TryLater as e:
                if e.wait:
                    if e.wait > left:
                        raise
                    left -= (pause := self.agree(urlsplit(url).hostname, e, patience))
                time.sleep(pause)
        return self.fetch_once(url, params)

    def fetch_once(self, url, params=None):
        try:
            with self.get(url, params=params, stream=True, timeout=self.timeout) as resp:
                if resp.ok:
                    return self.read(resp.raw)
                problem = f"the server answers {resp.status_code}"
                if resp.status_code not in BUSY:
                    raise DownloadError(problem)
                wait = seconds_to_wait(resp)
                raise TryLater(f"{problem}: wait {wait:.0f} seconds" if wait else problem, wait)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as e:
            raise TryLater(f"no answer ({type(e).__name__})") from None
        except (requests.RequestException, ValueError) as e:  # some addresses raise while they are parsed
            raise DownloadError(f"cannot be fetched ({type(e).__name__})") from None

    def read(self, raw):
        body, deadline = bytearray(), time.monotonic() + self.seconds
        while piece := raw.read1(2**16, decode_content=False):  # `read` would wait until a piece is full
            body += piece
            if len(body) > MAX_BYTES:
                raise DownloadError(f"more than {MAX_BYTES // 10**6} MB")
            if time.monotonic() > deadline:
                raise TryLater(f"not complete after {self.seconds} seconds", math.inf)  # now it would take as long
        return bytes(body)

    def agree(self, host, busy, patience):
        """Return seconds to wait for a host that asks for it, in one pause of all workers, which is announced once.

        Raises `busy` when the host has had `patience` seconds and given no answer since: at once for all other photos.
        """
        with self.agreeing:
            now, (end, waited) = time.monotonic(), self.pauses_of.get(host, (0, 0))
            if now >= end:
                if waited + busy.wait > patience:
                    raise busy
                end, waited = now + busy.wait, waited + busy.wait
                self.pauses_of[host] = end, waited
                asks = f"{host} asked us to wait {busy.wait:.0f} seconds"
                tqdm.write(f"{asks}: waiting (Ctrl-C stops; downloaded photos are kept)")
            return end - now


def seconds_to_wait(resp):
    """Return a busy server's Retry-After, a number or a date, in seconds, six hours at most; or nothing."""
    try:
        seconds = Retry().get_retry_after(resp.raw)
    except InvalidHeader:
        seconds = None
    return TOO_MANY if seconds is None and resp.status_code == 429 else seconds


class GuardedAdapter(HTTPAdapter):
    """Lets `requests` connect to public addresses, and of the others only to those in `allowed`: pairs of IP and port.

    `allowed` is None: to all. The headers of an answer must come within `seconds`; keeps up to `connections` to each
    server.
    """

    def __init__(self, allowed, seconds, connections):
        self.guard = {"allowed": allowed, "seconds": seconds}
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs)
        pools = self.poolmanager.pool_classes_by_scheme
        self.poolmanager.pool_classes_by_scheme = {scheme: self.guarded(pool) for scheme, pool in pools.items()}

    def guarded(self, pool):
        connection = type("GuardedConnection", (Guarded, pool.ConnectionCls), self.guard)
        return type("GuardedPool", (pool,), {"ConnectionCls": connection})

    def send(self, request, **kwargs):
        resp = super().send(request, **kwargs)
        if resp.is_redirect:  # requests would read its body, which may be endless
            resp.close()
            resp.raw = io.BytesIO()
        return resp


class Guarded:
    """A connection of urllib3's that ends when the address it has reached is not public, or when headers drip in."""

    def _new_conn(self):  # where urllib3's own support of SOCKS comes in, too
        sock = super()._new_conn()
        address = sock.getpeername()[:2]
        if self.allowed is not None and not ip_address(address[0]).is_global and address not in self.allowed:
            sock.close()
            raise DownloadError(f"{self.host} has a private address")
        return sock

    def getresponse(self):
        sock, late = self.sock, threading.Event()

        def hang_up():  # the time-out of a socket begins anew with every byte
            late.set()
            with contextlib.suppress(OSError):  # it may be closed by now
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self.seconds, hang_up)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()
            if late.is_set():
                raise TimeoutError
