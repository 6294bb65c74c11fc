"""Connections that a stranger's address, redirect or name server cannot turn against your own network.

Each is checked at the address that it has really reached. Where a proxy is set (`HTTPS_PROXY`), it is the proxy that
connects, and the check is its own.
"""

import io
import socket
import threading
from ipaddress import ip_address

from bears.errors import DownloadError
from requests.adapters import HTTPAdapter


class GuardedAdapter(HTTPAdapter):
    """Lets `requests` connect to public addresses, and of the others only to those in `allowed`: pairs of IP and port.

    The headers of an answer must come within `seconds`; keeps up to `connections` to each server.
    """

    def __init__(self, allowed, seconds, connections):
        self.guard = {"allowed": set(allowed), "seconds": seconds}
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
        if not ip_address(address[0]).is_global and address not in self.allowed:
            sock.close()
            raise DownloadError(f"{self.host} has a private address")
        return sock

    def getresponse(self):
        sock, late = self.sock, threading.Event()

        def hang_up():  # the time-out of a socket begins anew with every byte
            late.set()
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
