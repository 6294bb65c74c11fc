"""Reject requests that no visitor needs, and requests that are too large, too slow or too many.

`Guard` is an ASGI middleware, so it checks a request before Gradio sees it or reads its body.
"""

import contextlib
import errno
import ipaddress
import os
import time
from collections import Counter, deque
from urllib.parse import parse_qs

import anyio
import gradio as gr
import orjson
from bears.app.connections import is_proxy, limit_connections, most_connections
from bears.app.front_end import ROUTE
from bears.app.gradio_internals import forget, function_number, has_event, has_sessions, queue_of, unanswered
from bears.app.hosting import THIS_MACHINE, behind_proxy, local_names
from bears.app.page_data import routes as page_routes
from bears.app.uploads import MAX_FILE_SIZE, NO_ROOM, Store
from bears.cli import NO_VISIT
from bears.static_site import routes
from bears.web.policy import policy_for_this_page
from gradio.data_classes import PredictBody
from gradio.route_utils import get_hostname
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse

MAX_JSON = 10**6  # bytes of one API call
MAX_BODIES = 100 * 10**6  # bytes of all API calls in memory
JSON_SECONDS, UPLOAD_SECONDS = 15, 120  # seconds in which the whole body must arrive
MAX_PLACES = 24  # unanswered calls of one client; the app answers 32 at a time, and 64 more can wait
MAX_PLACES_OF_A_PROXY = 72  # unanswered calls of all clients behind one proxy
MAX_NAME = 64  # characters in the name of a session or an upload
MAX_REMEMBERED = 1000  # the most sessions, and the most uploads, that Gradio keeps
LINES = 10  # the most lines per second in the log about rejected requests

WAIT = "Please wait for an answer, or for ten seconds."
FOREIGN_NAME = (
    "Open this app at the address that app.py has printed. If a proxy has sent you here, start"
    " app.py with --root-path and the address that visitors open (or set GRADIO_ROOT_PATH to this address)."
)

# All routes that the app, gradio_client, curl and hosting services use. {} matches any one part of a path.
ROUTES = """/ /config /favicon.ico /manifest.json /pwa_icon /pwa_icon/{} /robots.txt /theme.css
    /gradio_api/info /gradio_api/openapi.json /gradio_api/app_id /gradio_api/startup-events /gradio_api/theme.css
    /gradio_api/upload /gradio_api/upload_progress /gradio_api/heartbeat/{} /gradio_api/cancel /gradio_api/reset
    /gradio_api/queue/join /gradio_api/queue/data /gradio_api/call/{} /gradio_api/call/{}/{} /gradio_api/run/{}
    /offline /gradio_api/mcp /gradio_api/mcp/{} /gradio_api/mcp/messages/{}"""
ROUTES = {tuple(route.split("/")[1:]) for route in ROUTES.split()}
FOLDERS = ("/assets/", "/static/", "/svelte/", "/web/", "/offline/", "/gradio_api/file=")
MCP = "/gradio_api/mcp"
ASKS = ("/gradio_api/queue/join", "/gradio_api/call/", "/gradio_api/run/")
FIELDS = ("data", "session_hash", "fn_index", "trigger_id", "event_data")

# Errors while Gradio writes a file: the disk is full, a quota or size limit is reached, or too many files are open.
NO_MORE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG, errno.EMFILE, errno.ENFILE}

# No x-frame-options: any site may show the app in a frame, as Spaces do.
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin"}


class Refused(Exception):
    """Reject a request with an HTTP status and a sentence that says what to do.

    `retry_after` is the number of seconds after which to try again. If `logged` is false, don't log the request.
    """

    def __init__(self, status, sentence, retry_after=None, logged=True):
        super().__init__(sentence)
        self.status, self.logged = status, logged
        self.headers = {"retry-after": str(retry_after)} if retry_after else {}


class Guard:
    """Check every request before Gradio gets it, as ASGI middleware. Methods raise `Refused`.

    `store` counts the space that uploads take. An upload may have up to `max_file_size` bytes. If `hosts` has names, a
    request's Host header must be one of them. If `forwarded` is true, the app is behind a proxy, and the proxy's
    x-forwarded headers are used.
    """

    def __init__(self, app, store, max_file_size, hosts=(), forwarded=False):
        self.app, self.store, self.max_file_size = app, store, max_file_size
        self.hosts, self.forwarded = set(hosts), forwarded
        # Open requests and tabs by address, and calls that join the queue by (address, session).
        self.requests, self.tabs, self.asking = Counter(), Counter(), Counter()
        self.bodies, self.lines = 0, deque([0] * LINES, LINES)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, own = False, {**HEADERS, "content-security-policy": policy_for_this_page()}

        async def guarded_send(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in own.items():
                    headers.setdefault(name, value)
            await send(message)

        path, client = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/") or "/", address(scope)
        try:
            self.check(scope, path, client)
            with counted(self.requests, client):
                await self.answer(scope, path, client, receive, guarded_send)
        except ClientDisconnect:
            pass
        except Refused as e:
            if started:
                raise
            await self.refuse(e, path)(scope, receive, guarded_send)
        except OSError as e:
            if started or e.errno not in NO_MORE:
                raise
            await self.refuse(Refused(507, NO_ROOM, retry_after=60), path)(scope, receive, guarded_send)

    def refuse(self, error, path):
        """Return the response to a rejected request. Log up to `LINES` rejected requests per second."""
        if error.logged and time.monotonic() - self.lines[0] > 1:
            self.lines.append(time.monotonic())
            print(f"{time.strftime('%X')} {error.status} for {path[:80]!r}: {error}", flush=True)
        if path == "/gradio_api/upload":  # Gradio's clients expect plain text here
            return PlainTextResponse(str(error), error.status, error.headers)
        return JSONResponse({"detail": str(error)}, error.status, error.headers)

    def check(self, scope, path, client):
        """Reject requests for wrong hosts or paths, and clients with too many open requests."""
        headers = MutableHeaders(scope=scope)
        if self.hosts and get_hostname(headers.get("host", "")) not in self.hosts:
            raise Refused(421, FOREIGN_NAME)
        for name in ("x-gradio-server", *(() if self.forwarded else ("x-forwarded-host", "x-forwarded-proto"))):
            del headers[name]  # these headers would change the address that the app gives as its own
        if not (is_route(path) or path.startswith(FOLDERS)):
            raise Refused(404, "There is nothing at this address.", logged=False)  # bots would fill the log
        if self.requests[client] >= most_connections(scope["client"]):
            raise Refused(429, "You have too many open requests. Please wait for their answers.", retry_after=10)

    async def answer(self, scope, path, client, receive, send):
        """Check the session and the event that a request names, then its body, then let Gradio answer."""
        if path == "/gradio_api/info":  # without `page`, Gradio sends everybody the first visitor's answer
            scope["query_string"] += b"&page="
        if scope["method"] != "POST":
            check_names(scope, path)
            with counted(self.tabs, client) if is_heartbeat(path) else contextlib.nullcontext():
                return await self.app(scope, receive, send)
        forget(queue_of(scope["app"].get_blocks()), MAX_REMEMBERED)
        if path == "/gradio_api/upload":
            return await self.app(scope, self.upload(scope, receive), send)
        mcp = path.startswith(MCP)
        limit, seconds = (self.max_file_size * 4 // 3 + MAX_JSON, UPLOAD_SECONDS) if mcp else (MAX_JSON, JSON_SECONDS)
        async with self.read(scope, receive, limit, seconds) as body:
            if mcp:
                self.take(len(body))
                return await self.app(scope, replay(body, receive), send)
            question = check_question(body)
            if not path.startswith(ASKS):
                return await self.app(scope, replay(body, receive), send)
            fn = check_function(scope["app"].get_blocks(), path, question)
            body = orjson.dumps({name: question[name] for name in FIELDS if name in question})
            direct = not fn.queue or path.startswith("/gradio_api/run/")  # Gradio refuses queued functions at /run/
            with contextlib.nullcontext() if direct else self.place(scope, client, session_of(scope, question)):
                await self.app(scope, replay(body, receive), send)

    def take(self, size):
        """Reserve space for `size` bytes that are about to be stored. Raises `Refused` if there isn't enough space."""
        if not self.store.take(size):
            raise Refused(507, NO_ROOM, retry_after=60)

    def upload(self, scope, receive):
        """Return a `receive` that raises `Refused` if an upload is too large or too slow, or if the disk is full."""
        sentence = f"File size exceeded maximum allowed size of {self.max_file_size} bytes."
        limit, size, more = self.max_file_size + 2**16, 0, True  # the body also has headers for each file
        check_length(scope, limit, sentence)
        self.take(0)
        deadline = anyio.current_time() + UPLOAD_SECONDS

        async def receive_upload():
            nonlocal size, more
            message = await in_time(receive, deadline) if more else await receive()
            more = more and message.get("more_body", False)
            if part := len(message.get("body", b"")):
                size += part
                if size > limit:
                    raise Refused(413, sentence)
                self.take(part)
            return message

        return receive_upload

    @contextlib.asynccontextmanager
    async def read(self, scope, receive, limit, seconds):
        """Read a request's body, and give it to the `with` block as bytes.

        Raises `Refused` if the body is too long or too slow, or if the bodies of all requests need too much memory.
        """
        sentence = f"This request has more than {limit:,} bytes. Please upload the photo first, and send only its path."
        check_length(scope, limit, sentence)
        body, more, deadline = bytearray(), True, anyio.current_time() + seconds
        try:
            while more:
                message = await in_time(receive, deadline)
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                self.bodies += len(message.get("body", b""))
                more = message.get("more_body", False)
                if len(body) > limit:
                    raise Refused(413, sentence)
                if self.bodies > MAX_BODIES:
                    raise Refused(503, "The server is busy. Please try again.", retry_after=10)
            yield bytes(body)
        finally:
            self.bodies -= len(body)

    @contextlib.contextmanager
    def place(self, scope, client, session):
        """Let a call join the queue. Raises `Refused` if the queue is full, or if the client has too many calls in it.

        Many people may share a proxy, so each session behind a proxy may have `MAX_PLACES` unanswered calls. Behind a
        proxy, all calls without a session share one limit: `MAX_PLACES`, plus one for each open tab.
        """
        queue, proxied = queue_of(scope["app"].get_blocks()), is_proxy(scope["client"])
        if len(queue) >= queue.max_size:
            raise Refused(503, "The app is busy. Please try again in a minute.", 60)
        asker = scope["asker"] = (client, session if proxied else "")
        held = Counter(event.request.scope["asker"] for event in unanswered(queue)) + self.asking
        if proxied:
            tabs = 0 if session else self.tabs[client]
            of_proxy = sum(count for (address, _), count in held.items() if address == client)
            if held[asker] >= MAX_PLACES + tabs or of_proxy >= MAX_PLACES_OF_A_PROXY:
                raise Refused(429, f"Many photos are in the queue. {WAIT}", retry_after=10)
        elif held[asker] >= MAX_PLACES:
            raise Refused(429, f"{MAX_PLACES} photos from your address are in the queue. {WAIT}", retry_after=10)
        with counted(self.asking, asker):
            yield


@contextlib.contextmanager
def counted(counter, client):
    """Add 1 to `counter[client]` during the `with` block."""
    counter[client] += 1
    try:
        yield
    finally:
        counter[client] -= 1
        if not counter[client]:
            del counter[client]


def address(scope):
    """Return the IP address of a client. For IPv6, return the /64 network, since one person usually has all of it."""
    host = (scope.get("client") or ("",))[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ip if ip.version == 4 else ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


def is_heartbeat(path):
    return path.startswith("/gradio_api/heartbeat/")


def session_of(scope, question):
    """Return the session's name in the JSON or URL of a call, or an empty text if neither has one."""
    [name, *_] = parse_qs(scope["query_string"].decode("latin-1")).get("session", [""])
    return question.get("session_hash") or name[:MAX_NAME]


def is_route(path):
    parts = path.split("/")[1:]
    return any(len(parts) == len(r) and all(b in ("{}", a) for a, b in zip(parts, r)) for r in ROUTES)


def check_length(scope, limit, sentence):
    """Reject a request whose content-length is above `limit`, before any of its body is read."""
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdecimal() or int(length) > limit:
        raise Refused(413, sentence)


async def in_time(receive, deadline):
    """Return `await receive()`. Raises `Refused` if the message comes after `deadline`, a time on anyio's clock."""
    try:
        with anyio.fail_after(max(0, deadline - anyio.current_time())):
            return await receive()
    except TimeoutError:
        raise Refused(408, "The upload took too long. Please try again, or send a smaller file.") from None


def replay(body, receive):
    """Return a `receive` function that delivers a body again after it was read."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again():
        return messages.pop() if messages else await receive()

    return receive_again


def check_names(scope, path):
    """Reject a request if its session or event doesn't exist, or if a name in it is too long."""
    *_, api, last = ["", *path.split("/")]
    query = parse_qs(scope["query_string"].decode("latin-1"))
    names = [name for key in ("session_hash", "upload_id") for name in query.get(key, ())]
    if any(len(name) > MAX_NAME for name in names) or (api == "heartbeat" and len(last) > MAX_NAME):
        raise Refused(400, f"The name of a session or an upload can have at most {MAX_NAME} characters.")
    queue = queue_of(scope["app"].get_blocks())
    if path == "/gradio_api/queue/data" and not has_sessions(queue, names):
        raise Refused(404, "There is no such session. Please join the queue first.")
    if path.startswith("/gradio_api/call/") and not has_event(queue, last):
        raise Refused(404, "There is no such event. Please ask again.")


def check_question(body):
    """Return the JSON object in `body` as a dict.

    Reject a body that isn't a JSON object, and names of sessions and events that are too long.
    """
    try:
        question = orjson.loads(body)
        orjson.dumps(question)  # raises an error if it is nested too deeply for Python
    except (ValueError, TypeError):
        question = None
    if not isinstance(question, dict):
        raise Refused(400, "Please send one JSON object.")
    for name in ("session_hash", "event_id"):
        value = question.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= MAX_NAME):
            raise Refused(400, f"{name} must be a string of at most {MAX_NAME} characters.")
    return question


def check_function(blocks, path, question):
    """Return the Gradio `BlockFunction` that a request calls. Reject unknown functions and wrong inputs."""
    name, number = path.split("/")[-1], question.get("fn_index")
    by_name = path.startswith("/gradio_api/call/") or (number is None and name != "join")
    found = [fn for fn in blocks.fns.values() if (fn.api_name == name if by_name else function_number(fn) == number)]
    if not found:
        raise Refused(404, "There is no such function. The API is described at ?view=api.")
    [fn] = found
    try:
        data = PredictBody.model_validate(question).data
        if len(data) != len(fn.inputs):
            raise ValueError
        for component, value in zip(fn.inputs, data):
            if value is not None and component.data_model:
                component.data_model.model_validate(value)
    except ValueError:  # pydantic's errors are ValueErrors, too
        raise Refused(400, "This is the wrong input for the function. The API is described at ?view=api.") from None
    return fn


def protected(demo: gr.Blocks, host: str, share: bool, root_path: str | None) -> dict:
    """Return keyword arguments that make `demo.launch` use the `Guard` and return at once.

    `host` is the address to listen on. `root_path` is the address or path under which a proxy serves the app.
    """
    behind, names = behind_proxy(share, root_path), local_names(host)
    trusted = os.environ.setdefault("FORWARDED_ALLOW_IPS", behind or "")  # uvicorn believes these proxies' headers
    # Only this machine can reach a local app, maybe through a proxy. So this machine gets the limits of a proxy.
    limit_connections(trusted or (THIS_MACHINE if names else ""))
    store = Store(os.environ["GRADIO_TEMP_DIR"], demo.temp_file_sets)
    store.keep_sweeping()
    hosts = () if behind is not None else names
    guard = Middleware(Guard, store, MAX_FILE_SIZE, hosts, behind is not None)
    return {
        "app_kwargs": {"middleware": [guard], "routes": [ROUTE, *page_routes(demo.first), *routes(demo.learn.file)]},
        "server_name": host,
        "share": False,  # bears/app/hosting.py opens the tunnel
        "prevent_thread_lock": True,
        "quiet": True,
        "root_path": (root_path or "").rstrip("/"),
        "max_file_size": MAX_FILE_SIZE,
        "enable_monitoring": False,
        "run_history": False,  # the next user of a shared computer would see it
        "state_session_capacity": 100,  # each session stores a copy of the app's state, which is never used
        **NO_VISIT,
    }
