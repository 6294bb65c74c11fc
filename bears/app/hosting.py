"""Put the app on the internet: behind a share link, on Hugging Face Spaces, with or without ZeroGPU, on Binder."""

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from bears.app.gradio_internals import close_tunnels, open_tunnel, tunnel_program
from bears.cli import STOP_SIGNALS, delete_private
from gradio import Blocks

THIS_MACHINE = "127.0.0.1,::1"


def find_host():
    """Return the public host that this runs on, by the variables that it sets, or nothing."""
    if os.getenv("SYSTEM") == "spaces":
        return "a Hugging Face Space"
    if any(name.startswith("BINDER_") for name in os.environ):
        return "Binder"


def behind_proxy(share: bool, root_path: str | None) -> str | None:
    """Return the addresses of the proxy that all requests come through, as uvicorn's FORWARDED_ALLOW_IPS, or None."""
    if find_host():
        return f"{THIS_MACHINE},10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10"
    if share or root_path:  # Gradio's tunnel, or the proxy that `--root-path` is about
        return THIS_MACHINE


def local_names(host: str) -> set[str]:
    """Return the names of a page that only this machine can reach, by its address; of any other, nothing.

    A request with another name comes from a web page that wants to read this one (DNS rebinding).
    """
    host = host.strip("[]")
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return {host, "localhost", "127.0.0.1", "::1"} if local else set()


def check_address(host: str, port: int) -> str:
    """Return the host as Gradio takes it, IPv6 in brackets; port 0 stands for any.

    Raises an `OSError` without a number at once where nobody can listen: Gradio would try a hundred ports, for minutes.
    """
    host = host.strip("[]")
    six = ":" in host
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if six else socket.AF_INET).close()
    except (OSError, OverflowError, TypeError, UnicodeError) as e:  # also of a number or name that none can have
        raise OSError(str(e)) from None
    return f"[{host}]" if six else host


def satisfy_zerogpu() -> Callable | None:
    """Give ZeroGPU the one GPU function without which it stops an app; ours needs no GPU and takes none.

    https://huggingface.co/docs/hub/spaces-zerogpu
    """
    if os.getenv("SPACES_ZERO_GPU") == "true":
        import spaces  # only ZeroGPU's machines need this package, and have it

        return spaces.GPU(lambda: None)


def share(demo: Blocks) -> str:
    """Open Gradio's tunnel to the launched `demo`; returns a sentence with the public link, or why there is none."""
    if host := find_host():
        return f"Warning: ignoring --share, because {host} already gives this app a public address."
    try:
        address = open_tunnel(demo)
        return f"Public link, valid for up to a week: {address.replace('http://', 'https://')}"
    except Exception as e:  # no network, no tunnel program, no room for it: each raises something else
        program, url = tunnel_program()
        if Path(program).exists():
            todo = "check that the network lets you reach gradio.live, and start again"
        else:
            todo = f"check the network and start again, or save {url} as {program}"
        return f"Couldn't create a public link ({type(e).__name__}): {todo}. The app still runs at {demo.local_url}"


def end_page(demo: Blocks) -> None:
    """Close a page, launched or not, and end: Python by itself would wait for all who wait for an answer."""
    for stop in (signal.SIGINT, *STOP_SIGNALS):
        signal.signal(stop, signal.SIG_IGN)
    if demo.is_running:
        logging.getLogger("uvicorn.error").disabled = True  # it would show a traceback of each who is cut off
        demo.server.config.timeout_graceful_shutdown = 1  # second
        demo.close(verbose=False)
    demo.feedback.close()
    demo.learn.close()
    close_tunnels()
    delete_private()
    sys.stdout.flush()
    os._exit(0)
