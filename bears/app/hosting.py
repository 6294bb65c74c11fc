"""Put the app online: with a share link, on Hugging Face Spaces (with or without ZeroGPU), or on Binder."""

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from bears.app.gradio_internals import close_tunnels, open_tunnel, tunnel_program
from bears.cli import STOP_SIGNALS, reach_directly
from bears.private_photos import delete_private
from gradio import Blocks

THIS_MACHINE = "127.0.0.1,::1"


def find_host():
    """Return the name of the hosting service that runs this app, as its environment variables show, or None."""
    if os.getenv("SYSTEM") == "spaces":
        return "a Hugging Face Space"
    if any(name.startswith("BINDER_") for name in os.environ):
        return "Binder"


def behind_proxy(share: bool, root_path: str | None) -> str | None:
    """Return the IP addresses of the proxy in front of the app, in the format of uvicorn's FORWARDED_ALLOW_IPS.

    Without a proxy, return None.
    """
    if find_host():
        return f"{THIS_MACHINE},10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10"
    if share or root_path:  # Gradio's tunnel is a proxy; --root-path is for your own
        return THIS_MACHINE


def local_names(host: str) -> set[str]:
    """Return the host names that requests to a local app may use in their Host header.

    Return an empty set if other machines can reach `host`, the address that the app listens on.

    A website can make its own host name lead to your machine. Its scripts in your browser could then read a local app
    (DNS rebinding). Such requests have the website's name in their Host header, so `Guard` rejects them.
    """
    host = host.strip("[]")
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return {host, "localhost", "127.0.0.1", "::1"} if local else set()


def check_address(host: str, port: int) -> str:
    """Check that the app can listen on a host and a port (0 means any port). Return the host as Gradio expects it.

    IPv6 addresses are returned in brackets. Raises an `OSError` without `errno` if the app can't listen on the port.
    Without this check, Gradio would try a hundred ports, which takes minutes.
    """
    host = host.strip("[]")
    six = ":" in host
    try:
        name = host.encode("idna").decode()  # check the name here: on a bad name, `create_server` leaves a socket open
        socket.create_server((name, port), family=socket.AF_INET6 if six else socket.AF_INET).close()
    except (OSError, OverflowError, TypeError, UnicodeError) as e:  # the last three: invalid ports and names
        raise OSError(str(e)) from None
    reach_directly(host)
    return f"[{host}]" if six else host


def satisfy_zerogpu() -> Callable | None:
    """Register an empty GPU function on ZeroGPU, which only runs apps that have one. This app doesn't use the GPU.

    See https://huggingface.co/docs/hub/spaces-zerogpu
    """
    if os.getenv("SPACES_ZERO_GPU") == "true":
        import spaces  # installed on ZeroGPU's machines only

        return spaces.GPU(lambda: None)


def share(demo: Blocks) -> str:
    """Open Gradio's tunnel to the launched `demo`.

    Return a sentence with the public link, or with the reason why there is none.
    """
    if host := find_host():
        return f"Warning: ignoring --share, because {host} already gives this app a public address."
    try:
        address = open_tunnel(demo)
        return f"Public link, valid for up to a week: {address.replace('http://', 'https://')}"
    except Exception as e:  # no network, tunnel program or disk space: each raises another error
        program, url = tunnel_program()
        if Path(program).exists():
            todo = "check that the network lets you reach gradio.live, and start again"
        else:
            todo = f"check the network and start again, or save {url} as {program}"
        return f"Couldn't create a public link ({type(e).__name__}): {todo}. The app still runs at {demo.local_url}"


def end_page(demo: Blocks) -> None:
    """Close the app and exit at once. A normal exit would wait until all visitors have their answers."""
    for stop in (signal.SIGINT, *STOP_SIGNALS):
        signal.signal(stop, signal.SIG_IGN)
    if demo.is_running:
        logging.getLogger("uvicorn.error").disabled = True  # it would log a traceback for each open connection
        demo.server.config.timeout_graceful_shutdown = 1  # second
        demo.close(verbose=False)
    demo.feedback.close()
    demo.learn.close()
    close_tunnels()
    delete_private()
    sys.stdout.flush()
    os._exit(0)
