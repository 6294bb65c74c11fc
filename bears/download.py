"""Download search results and photos from the web, with limits on seconds, bytes and pixels.

No address, redirect or name server can make a download read from your own network (server-side request forgery, SSRF).
Each new connection is closed if its IP address is not public. If you set a proxy (`HTTPS_PROXY`), the proxy must check
IP addresses itself.
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

WORKERS = 4  # downloads at the same time; more would be impolite to websites that offer free photos
MAX_BYTES = 20 * 10**6  # of one file
BUSY = {429, 500, 502, 503, 504}  # HTTP statuses after which a second try may work
TOO_MANY = 60  # seconds to wait after status 429 (too many requests) if the server doesn't say how long
USER_AGENT = f"bears-lesson-2/1.0 (https://course.fast.ai/Lessons/lesson2.html) {requests.utils.default_user_agent()}"


def fetch_photos(web: "Web", wanted: Iterable[dict], shrink: Callable, patience=60) -> Iterator[tuple]:
    """Download several photos at a time. Yield each dict in `wanted`, with the result or error of `fetch_photo`.

    Each dict in `wanted` has the `url` of a file and, if it is known, the `sha256`. The results are in the order of
    `wanted`. `shrink` converts the bytes of a file to the bytes of a small photo, or raises `PhotoError`. `patience` is
    how long to wait for a busy server, in seconds.
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
            continue  # without a timeout, Python may miss Ctrl-C, for example on Windows
        except StopIteration:
            return


def fetch_photo(web, url, shrink, sha256=None, patience=60):
    """Download the file at `url`. Return the file's SHA-256, and the bytes of the small photo that `shrink` makes.

    Raises `DownloadError` if the download fails, the file's SHA-256 is not `sha256`, or the file is not a photo.
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
    """Download files only from public IP addresses, and from each pair (IP address, port) in `allowed`.

    A download may take `seconds` in total. `pauses` are the seconds to wait before the second, third and fourth try.
    """

    timeout = (10, 10)  # seconds to connect, and to wait for more bytes

    def __init__(self, allowed=(), seconds=60, pauses=(1, 2, 4)):
        super().__init__()
        self.seconds, self.pauses, self.max_redirects = seconds, pauses, 5
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})  # photos are compressed already
        self.pauses_of, self.agreeing = {}, threading.Lock()  # per host: when its pause ends, seconds waited so far
        self.pool = ThreadPool(WORKERS)  # not a ThreadPoolExecutor: Python would wait for its threads after Ctrl-C
        for scheme in ("http://", "https://"):
            self.mount(scheme, GuardedAdapter(allowed, seconds, WORKERS))

    def close(self):
        self.pool.terminate()
        super().close()

    def fetch(self, url: str, params=None, patience=60) -> bytes:
        """Return the bytes of the file at `url`, up to `MAX_BYTES`. Several threads may call this method at once.

        If the server doesn't answer, try again. If the server asks for a pause, wait, but at most `patience` seconds in
        total. Threads that wait for the same server share one pause. Raises `DownloadError`, or `TryLater` if the
        reason may go away, such as a busy server.
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
        except (requests.RequestException, ValueError) as e:  # for example, an address that can't be parsed
            raise DownloadError(f"can't be downloaded ({type(e).__name__})") from None

    def read(self, raw):
        body, deadline = bytearray(), time.monotonic() + self.seconds
        while piece := raw.read1(2**16, decode_content=False):  # `read` would wait for all 64 KB
            body += piece
            if len(body) > MAX_BYTES:
                raise DownloadError(f"more than {MAX_BYTES // 10**6} MB")
            if time.monotonic() > deadline:
                raise TryLater(f"not complete after {self.seconds} seconds", math.inf)  # another try would be as slow
        return bytes(body)

    def agree(self, host, busy, patience):
        """Return how many seconds to wait for a busy host. Threads that wait for the same host share one pause.

        Print the pause once. If the pauses for a host would add up to more than `patience` seconds, raise the error
        `busy`.
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
    """Return how many seconds a busy server asks to wait. Its Retry-After header has this number, or a date.

    Without a Retry-After header, return `TOO_MANY` for status 429, and None for other statuses.
    """
    try:
        seconds = Retry().get_retry_after(resp.raw)
    except InvalidHeader:
        seconds = None
    return TOO_MANY if seconds is None and resp.status_code == 429 else seconds


class GuardedAdapter(HTTPAdapter):
    """Let `requests` connect only to public IP addresses, and to each pair (IP address, port) in `allowed`.

    If `allowed` is None, allow all addresses. The headers of a response must arrive within `seconds`. Up to
    `connections` connections to each server stay open.
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
        if resp.is_redirect:  # otherwise requests would read the body, which may be endless
            resp.close()
            resp.raw = io.BytesIO()
        return resp


class Guarded:
    """Close a connection of urllib3 if its IP address is neither public nor allowed, or if the headers are late."""

    def _new_conn(self):  # urllib3 also calls this method for a SOCKS proxy
        sock = super()._new_conn()
        address = sock.getpeername()[:2]
        if self.allowed is not None and not ip_address(address[0]).is_global and address not in self.allowed:
            sock.close()
            raise DownloadError(f"{self.host} has a private address")
        return sock

    def getresponse(self):
        sock, late = self.sock, threading.Event()

        def hang_up():  # needed since each received byte restarts a socket's timeout
            late.set()
            with contextlib.suppress(OSError):  # the socket may be closed already
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
