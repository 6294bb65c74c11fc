"""Limit the number of open connections, and the time in which a client must send a request's headers.

The server, uvicorn, limits neither (https://github.com/Kludex/uvicorn/issues/157). Middleware is too late, since it
only gets a request after all headers have arrived. Gradio's `launch` can't set uvicorn's option `http`, which chooses
another protocol. This module therefore replaces uvicorn's default protocol. The test tests/test_private_names.py checks
the private names of uvicorn that this module uses.
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

# A connection uses at most two file descriptors: a socket and a file. 64 are left for everything else.
MAX_CONNECTIONS = max(16, min(500, (DESCRIPTORS - 64) // 2))
MAX_OF_ONE_CLIENT = max(16, MAX_CONNECTIONS // 4)
MAX_OF_A_PROXY = MAX_CONNECTIONS * 3 // 4
PROXIES = []  # networks of proxies; a proxy sends the requests of many clients
HEAD_SECONDS = 10  # seconds in which a client must send the request line and the headers
HEAD_BYTES = 2**16  # the longest headers; browsers and proxies send less

FULL = b"This page has too many open connections at the moment: please come back in a minute.\n"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 60\r\ncontent-length: %d\r\n\r\n%s"


class Connection(AutoHTTPProtocol):
    """Close a connection of uvicorn if too many are open, or if a request's headers are late or too long."""

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
        """Close an idle connection in the list `crowd`.

        If all connections in `crowd` are busy, refuse the new connection with status 503.
        """
        for other in crowd:
            if other.cycle and other.cycle.response_complete and not other.in_head:
                return other.transport.close()
        self.transport.write(REFUSAL % (len(FULL), FULL))
        self.transport.close()

    def connection_lost(self, exc):
        self.timer.cancel()
        super().connection_lost(exc)

    def check(self):
        """Close the connection if a request's headers are late.

        If the client still has time to send the headers, call this method again later.
        """
        waits = self.cycle is None or self.cycle.response_complete
        left = self.waiting_since + HEAD_SECONDS - self.loop.time() if waits else HEAD_SECONDS
        if left <= 0:
            self.transport.abort()
        else:
            self.timer = self.loop.call_later(left, self.check)

    def on_response_complete(self):
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    # Only uvicorn's httptools protocol calls the next two methods. Uvicorn's h11 protocol limits headers itself.
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
    """Make uvicorn use `Connection` for every server that starts in this process from now on.

    `proxies` has the IP addresses or networks of proxies, separated by commas. A proxy may open more connections than
    other clients, since it sends the requests of many people.
    """
    PROXIES.clear()
    for name in proxies.split(","):
        with contextlib.suppress(ValueError):  # "*" or an empty name
            PROXIES.append(ipaddress.ip_network(name.strip(), strict=False))
    HTTP_PROTOCOLS["auto"] = f"{__name__}:Connection"


def is_proxy(client):
    """Return whether a client is one of the `PROXIES`. `client` is a pair (IP address, port) or None."""
    try:
        ip = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in network for network in PROXIES)


def most_connections(client):
    """Return how many connections a client may have open. `client` is a pair (IP address, port) or None."""
    return MAX_OF_A_PROXY if is_proxy(client) else MAX_OF_ONE_CLIENT
