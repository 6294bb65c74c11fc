"""Limit the connections that uvicorn holds: how many there are, and how long one may take to say what it wants.

uvicorn limits neither (https://github.com/Kludex/uvicorn/issues/157), and no middleware sees a request before its head
is complete. Gradio's `launch` doesn't pass on uvicorn's option `http` either. So this module replaces uvicorn's
default, and uses names that uvicorn does not promise to keep (tests/test_private_names.py says which are gone).
"""

import contextlib
import ipaddress

from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.auto import AutoHTTPProtocol

try:
    import resource

    DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
except ImportError:  # Windows has no such limit
    DESCRIPTORS = 1024

# Each takes two descriptors at most, itself and its file; the rest is for all else that the program opens.
MAX_CONNECTIONS = max(16, min(500, (DESCRIPTORS - 64) // 2))
MAX_OF_ONE_CLIENT = max(16, MAX_CONNECTIONS // 4)
MAX_OF_A_PROXY = MAX_CONNECTIONS * 3 // 4
PROXIES = []  # networks
HEAD_SECONDS = 10  # for the request line and the headers
HEAD_BYTES = 2**16  # more than any proxy adds

FULL = b"This page has too many open connections at the moment: please come back in a minute.\n"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 60\r\ncontent-length: %d\r\n\r\n%s"


class Connection(AutoHTTPProtocol):
    """uvicorn's, which also ends when it is one too many, or when the head of a request is late or endless."""

    in_head, head = False, 0

    def connection_made(self, transport):
        super().connection_made(transport)
        self.waiting_since = self.loop.time()
        self.timer = self.loop.call_later(HEAD_SECONDS, self.check)
        everybody = [c for c in self.connections if not c.transport.is_closing()]
        same = [c for c in everybody if c.client and self.client and c.client[0] == self.client[0]]
        for crowd, limit in ((same, most_connections(self.client)), (everybody, MAX_CONNECTIONS)):
            if len(crowd) > limit:
                self.make_room(crowd)

    def make_room(self, crowd):
        """Close a connection of those in `crowd` that wait for nothing, or refuse this one."""
        for other in crowd:
            if other.cycle and other.cycle.response_complete and not other.in_head:
                return other.transport.close()
        self.transport.write(REFUSAL % (len(FULL), FULL))
        self.transport.close()

    def connection_lost(self, exc):
        self.timer.cancel()
        super().connection_lost(exc)

    def check(self):
        """Give up waiting for a head, or look again when the time for it is over."""
        waits = self.cycle is None or self.cycle.response_complete
        left = self.waiting_since + HEAD_SECONDS - self.loop.time() if waits else HEAD_SECONDS
        if left <= 0:
            self.transport.abort()
        else:
            self.timer = self.loop.call_later(left, self.check)

    def on_response_complete(self):
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    # httptools calls these; h11 has its own limit.
    def on_message_begin(self):
        self.in_head, self.head = True, 0
        super().on_message_begin()

    def on_headers_complete(self):
        self.in_head = False
        super().on_headers_complete()

    def data_received(self, data):
        if self.transport.is_closing():
            return
        super().data_received(data)
        self.head += len(data)
        if self.in_head and self.head > HEAD_BYTES:
            self.transport.abort()


def limit_connections(proxies):
    """Make every server of this process that starts from now on hold `Connection`s.

    `proxies` are addresses or networks, with commas: many people may stand behind one of them.
    """
    PROXIES.clear()
    for name in proxies.split(","):
        with contextlib.suppress(ValueError):  # "*", or nothing
            PROXIES.append(ipaddress.ip_network(name.strip(), strict=False))
    HTTP_PROTOCOLS["auto"] = f"{__name__}:Connection"


def is_proxy(client):
    """Return whether a client, as a pair of address and port or None, is a proxy that does not say for whom it asks."""
    try:
        ip = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in network for network in PROXIES)


def most_connections(client):
    """Return how many connections a client may have."""
    return MAX_OF_A_PROXY if is_proxy(client) else MAX_OF_ONE_CLIENT
