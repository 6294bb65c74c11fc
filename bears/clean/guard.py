"""Protect the review page: reject requests from other websites, to other host names, or to unknown routes."""

from bears.web.policy import POLICY
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

HOSTS = {"127.0.0.1", "localhost"}
ROUTES = {"/review", "/photo", "/decide"}  # routes of page.py
GRADIO = {"/", "/config", "/theme.css", "/favicon.ico", "/gradio_api/startup-events"}  # routes that Gradio's page loads
FOLDERS = ("/assets/", "/static/")  # Gradio's scripts and styles
HEADERS = {
    "content-security-policy": f"{POLICY}; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Only answer requests from the review page, or from a program on this machine. This is ASGI middleware."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = refuse(scope["method"], scope["path"], Headers(scope=scope)) or self.app
        await answer(scope, receive, send_with_headers)


def refuse(method, path, headers):
    """Return the response that rejects a request, or None if the request is allowed.

    The `headers` say which website sent the request.
    """
    host = headers.get("host", "")
    if host.partition(":")[0] not in HOSTS:  # a website whose name was pointed at this machine (DNS rebinding)
        return PlainTextResponse("Open the page at the address that bears.clean has printed.", 421)
    if path not in ROUTES | GRADIO and not path.startswith(FOLDERS):
        return PlainTextResponse("There is nothing at this address.", 404)
    opens_page = path == "/" and method in ("GET", "HEAD") and headers.get("sec-fetch-dest") == "document"
    same_site = headers.get("sec-fetch-site", "none") in ("same-origin", "none") or opens_page  # reports link to it
    if headers.get("origin", f"http://{host}") != f"http://{host}" or not same_site:
        return PlainTextResponse("Other sites may not use this page.", 403)
