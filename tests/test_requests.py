"""Test the guard with single requests and the store with single files, at the edges of their limits.

Both run in this process. tests/test_guard.py tests them on a running server.
"""

import errno
import io
import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import SimpleNamespace

import anyio
import gradio as gr
import pytest
from bears.app import guard, uploads
from bears.app.guard import Guard, Refused
from bears.app.uploads import LEAST, MAX_FILE_SIZE, RESERVE, Store
from bears.web.policy import NONCE, POLICY
from gradio.routes import file_upload_statuses
from helpers import FILE_DATA, ROOT
from PIL import Image
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

ME, PROXY = ("10.0.0.1", 5000), ("10.9.9.9", 5000)
CALL, JOIN, UPLOAD = "/gradio_api/call/predict", "/gradio_api/queue/join", "/gradio_api/upload"
QUESTION = {"data": [None], "session_hash": "mine"}
MULTIPART = "multipart/form-data; boundary=x"
NONCES = re.compile("script-src 'self' 'nonce-([\\w-]{20,})'")


def run(func, *args):
    """Run an async function in a thread of its own, because a browser's event loop may be running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, anyio.run, func, *args).result()


@pytest.fixture(scope="module")
def demo():
    async def make():  # so that its locks use the running event loop, and don't create one
        with gr.Blocks() as demo:
            photo, text = gr.Image(type="filepath"), gr.Textbox()
            text.submit(str, photo, text, api_name="predict")
            text.submit(str, [photo, text], text, api_name="both", queue=False)
        return demo.queue(max_size=3)

    return run(make)


class App:
    """Replace Gradio's app: keep what it gets, and answer "fine"."""

    def __init__(self, demo, during=None):
        self.demo, self.during, self.scope, self.messages, self.body = demo, during, None, [], None

    def get_blocks(self):
        return self.demo

    async def __call__(self, scope, receive, send):
        self.scope, self.body, more, self.nonce = scope, b"", scope["method"] == "POST", NONCE.get()
        while more:
            self.messages.append(message := await receive())
            self.body, more = self.body + message.get("body", b""), message.get("more_body", False)
        if self.during:
            await self.during(receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"referrer-policy", b"mine")]})
        await send({"type": "http.response.body", "body": b"fine"})


class Room:
    """Stand in for the store of uploads, with space for `room` bytes."""

    def __init__(self, room=10**9):
        self.room, self.taken = room, []

    def take(self, size):
        self.taken.append(size)
        return sum(self.taken) <= self.room


@pytest.fixture
def app(demo):
    queue = demo._queue
    queue.pending_event_ids_session, queue.event_ids_to_events, queue.event_queue_per_concurrency_id = {}, {}, {}
    queue.pending_messages_per_session.clear()
    return App(demo)


@pytest.fixture
def page(app):
    return Guard(app, Room(), 1000)


def ask(page, path="/", method="GET", body=(), client=ME, query="", root_path="", wait=0, **headers):
    """Return the status, headers and text of the answer to a request. The status is None without an answer."""
    parts, sent = [json.dumps(body).encode()] if isinstance(body, dict) else [*body], []
    headers = [(name.replace("_", "-").encode(), str(value).encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "root_path": root_path, "method": method, "query_string": query.encode()}

    async def receive():
        await anyio.sleep(wait if len(parts) == 1 else 0)  # before the last
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    run(page, {**scope, "headers": headers, "client": client, "app": page.app}, receive, send)
    if not sent:
        return None, {}, ""
    head, *rest = sent
    return head["status"], Headers(raw=head["headers"]), b"".join(part["body"] for part in rest).decode()


def refusal(page, *args, **kwargs):
    """Return the status, sentence and retry-after of a request that never reaches Gradio."""
    page.app.scope = None
    status, headers, text = ask(page, *args, **kwargs)
    assert page.app.scope is None and not +page.requests and not +page.asking and page.bodies == 0
    return status, text if text.startswith("File") else json.loads(text)["detail"], headers.get("retry-after")


def fill(demo, askers, session="somebody"):
    """Put one waiting call of each asker into the queue."""
    for n, asker in enumerate(askers):
        request = SimpleNamespace(scope={"asker": asker})
        event = SimpleNamespace(_id=f"{asker}{n}", session_hash=session, request=request)
        demo._queue.event_ids_to_events[event._id] = event
        demo._queue.pending_event_ids_session.setdefault(session, set()).add(event._id)


# Hosts and routes


@pytest.mark.parametrize(
    "client, name",
    [
        (("10.0.0.1", 1), "10.0.0.1"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("::ffff:10.0.0.1", 1), "10.0.0.1"),
        (("a socket", 1), "a socket"),
        (None, ""),
    ],
)
def test_a_client_is_an_address_or_the_network_of_one(client, name):
    assert guard.address({"client": client}) == name
    assert guard.address({}) == ""


@pytest.mark.parametrize(
    "path, there",
    [
        *[(path, True) for path in ("/", "/config", "/config/", "/pwa_icon/192", f"{CALL}/abc", "/assets/x/y.js")],
        *[(path, False) for path in ("/pwa_icon/1/2", "/assets", "/gradio_api", "/gradio_api/queue", "/x/config")],
    ],
)
def test_only_what_the_page_needs_is_there(path, there, page, app, capsys):
    app.demo._queue.pending_event_ids_session = {"mine": {"abc"}}
    status, headers, text = ask(page, path)
    assert status == (200 if there else 404) and there == (text == "fine")
    if not there:
        assert json.loads(text) == {"detail": "There is nothing at this address."}
    assert capsys.readouterr().out == ""  # bots would fill the log
    assert headers["x-content-type-options"] == "nosniff" and NONCES.search(headers["content-security-policy"])
    assert NONCES.sub("script-src 'self' 'unsafe-inline'", headers["content-security-policy"]) == POLICY
    assert headers["referrer-policy"] == ("mine" if there else "same-origin")


def test_only_scripts_that_know_the_nonce_of_this_answer_run_in_the_page(page, app):
    policies, nonces = zip(*[(ask(page)[1]["content-security-policy"], app.nonce) for _ in range(2)])
    assert [NONCES.findall(policy) for policy in policies] == [[nonces[0]], [nonces[1]]] and nonces[0] != nonces[1]
    assert all(NONCES.sub("script-src 'self' 'unsafe-inline'", policy) == POLICY for policy in policies)


def test_the_part_of_a_path_at_which_a_proxy_offers_the_page_does_not_count(page):
    assert ask(page, "/bears/config", root_path="/bears")[0] == 200
    assert ask(page, "/bears/config")[0] == 404
    assert ask(page, "/bears", root_path="/bears")[0] == 200


def test_a_page_with_names_answers_to_no_other(app):
    page = Guard(app, Room(), 1000, ["localhost"])
    assert ask(page, host="LOCALHOST:7860")[0] == 200
    for host in ({"host": "planted.example"}, {}):
        assert refusal(page, **host) == (421, guard.FOREIGN_NAME, None)


@pytest.mark.parametrize("forwarded", [False, True])
def test_only_a_proxy_that_is_there_says_what_the_address_is(forwarded, app):
    page, headers = Guard(app, Room(), 1000, (), forwarded), ("x-forwarded-host", "x-forwarded-proto")
    ask(page, **{name.replace("-", "_"): "x" for name in ("x-gradio-server", "x-other", *headers)})
    assert [name.decode() for name, _ in app.scope["headers"]] == ["x-other", *(headers if forwarded else ())]


def test_as_many_requests_as_connections_are_answered_at_once_and_no_more(page, monkeypatch):
    monkeypatch.setattr(guard, "most_connections", lambda client: 3 if client == ME else 0)
    page.requests["10.0.0.1"] = 2
    assert ask(page)[0] == 200 and page.requests == {"10.0.0.1": 2}
    page.requests["10.0.0.1"] = 3
    assert ask(page)[1]["retry-after"] == "10"
    assert json.loads(ask(page)[2])["detail"] == "You have too many open requests. Please wait for their answers."
    assert ask(page)[0] == 429


def test_a_request_counts_while_it_is_answered(page, app):
    async def during(receive, send):
        counts.append((dict(page.requests), dict(page.tabs)))

    counts, app.during = [], during
    ask(page, "/config"), ask(page, "/gradio_api/heartbeat/mine")
    assert counts == [({"10.0.0.1": 1}, {}), ({"10.0.0.1": 1}, {"10.0.0.1": 1})]
    assert not page.requests and not page.tabs


def test_what_is_no_request_is_passed_on():
    async def app(*args):
        passed.append(args)

    passed = []
    run(Guard(app, None, 0), {"type": "lifespan"}, 1, 2)
    assert passed == [({"type": "lifespan"}, 1, 2)]


def test_the_description_of_the_api_is_the_same_for_everybody(page, app):
    ask(page, "/gradio_api/info", query="all_endpoints=1")
    assert app.scope["query_string"] == b"all_endpoints=1&page="
    ask(page, "/config", query="a=1")
    assert app.scope["query_string"] == b"a=1"


# Errors


def test_a_full_disk_is_a_sentence_and_other_errors_are_not(page, app):
    for number, told in ((errno.ENOSPC, True), (errno.EMFILE, True), (errno.EACCES, False)):

        async def fail(receive, send, number=number):
            raise OSError(number, "no")

        app.during = fail
        if told:
            status, headers, text = ask(page)
            assert (status, headers["retry-after"]) == (507, "60")
            assert json.loads(text) == {"detail": uploads.NO_ROOM}
        else:
            with pytest.raises(PermissionError):
                ask(page)


@pytest.mark.parametrize("error", [Refused(400, "No."), OSError(errno.ENOSPC, "no")])
def test_what_fails_within_an_answer_fails(error, page, app):
    async def fail(receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    app.during = fail
    with pytest.raises(type(error)):
        ask(page)


def test_who_hangs_up_gets_no_answer(page, app):
    async def fail(receive, send):
        raise ClientDisconnect

    assert ask(page, CALL, "POST") == (None, {}, "") and page.bodies == 0
    app.during = fail
    assert ask(page) == (None, {}, "")


def test_the_log_has_a_line_for_what_is_refused_but_not_for_more_than_ten_in_a_second(page, capsys):
    for _ in range(15):
        ask(page, f"/gradio_api/heartbeat/{'x' * 65}")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and len(set(lines)) <= 2  # of two seconds
    when, _, said = lines[0].partition(" ")
    path = repr(f"/gradio_api/heartbeat/{'x' * 65}"[:80])
    assert said == f"400 for {path}: The name of a session or an upload can have at most 64 characters."
    assert abs(time.mktime(time.strptime(f"{time.strftime('%x')} {when}", "%x %X")) - time.time()) < 100
    page.lines.extend([time.monotonic() - 1.5] * 10)
    ask(page, f"/gradio_api/heartbeat/{'x' * 65}")
    assert len(capsys.readouterr().out.splitlines()) == 1


# Uploads


def test_an_upload_is_counted_as_it_comes(page, app):
    status, _, text = ask(page, UPLOAD, "POST", [b"a" * 500, b"", b"b" * 400])
    assert (status, text, app.body) == (200, "fine", b"a" * 500 + b"b" * 400)
    assert page.store.taken == [0, 500, 400]


TOO_LARGE = "File size exceeded maximum allowed size of 1000 bytes."


def test_an_upload_has_a_largest_size_whatever_it_says(page):
    most = 1000 + 2**16  # with the head of its part
    assert ask(page, UPLOAD, "POST", [b"x" * most], content_length=most)[0] == 200
    for length in (most + 1, "-1", "x"):
        status, _, text = ask(page, UPLOAD, "POST", [b"x"], content_length=length)
        assert (status, text) == (413, TOO_LARGE)
    status, headers, text = ask(page, UPLOAD, "POST", [b"x" * most, b"x"])
    assert (status, text) == (413, TOO_LARGE) and headers["content-type"].startswith("text/plain")


def test_an_upload_is_refused_when_there_is_no_room(page):
    page.store.room = 10
    status, headers, text = ask(page, UPLOAD, "POST", [b"x" * 6, b"x" * 6])
    assert (status, headers["retry-after"], text) == (507, "60", uploads.NO_ROOM)
    page.store.room, page.store.taken = -1, []
    assert ask(page, UPLOAD, "POST", [])[0] == 507


def test_what_comes_too_late_is_a_sentence(page, app, monkeypatch):
    late = "The upload took too long. Please try again, or send a smaller file."
    monkeypatch.setattr(guard, "UPLOAD_SECONDS", 0.05)
    for body in ([b"x"], [b"x", b"y"]):
        status, _, text = ask(page, UPLOAD, "POST", body, wait=5)
        assert (status, text) == (408, late)
    assert refusal(page, guard.MCP, "POST", [b"x"], wait=5)[:2] == (408, late)
    assert ask(page, CALL, "POST", QUESTION)[0] == 200  # calls have other limits
    monkeypatch.setattr(guard, "JSON_SECONDS", 0.05)
    assert refusal(page, CALL, "POST", QUESTION, wait=5)[:2] == (408, late)

    async def listen(receive, send):  # after the body has arrived, there is no limit
        await anyio.sleep(1.01)
        assert (await receive())["type"] == "http.disconnect"

    monkeypatch.setattr(guard, "UPLOAD_SECONDS", 1)
    app.during = listen
    assert ask(page, UPLOAD, "POST", [b"x"])[0] == 200


# Calls


def test_gradio_gets_the_fields_of_a_question_that_it_needs(page, app):
    question = {**QUESTION, "fn_index": 0, "event_data": None, "trigger_id": 1, "event_id": "x", "simple_format": True}
    assert ask(page, JOIN, "POST", question)[0] == 200
    assert json.loads(app.body) == {k: v for k, v in question.items() if k not in ("event_id", "simple_format")}
    assert app.scope["asker"] == ("10.0.0.1", "")
    assert ask(page, "/gradio_api/cancel", "POST", question)[0] == 200
    assert json.loads(app.body) == question


def test_gradio_gets_a_question_at_once_and_learns_when_its_sender_hangs_up(page, app):
    async def listen(receive, send):
        app.messages.append(await receive())

    app.during, gone = listen, {"type": "http.disconnect"}
    question = json.dumps({"data": [None]}).encode()
    for path, body in ((CALL, question), ("/gradio_api/cancel", question), (guard.MCP, b"one, two")):
        app.messages.clear()
        assert ask(page, path, "POST", [body[:5], body[5:]])[0] == 200
        assert app.messages == [{"type": "http.request", "body": app.body, "more_body": False}, gone]


def test_a_question_has_a_largest_size_whatever_it_says(page, monkeypatch):
    monkeypatch.setattr(guard, "MAX_JSON", 50)
    said = "This request has more than 50 bytes. Please upload the photo first, and send only its path."
    body = json.dumps({"data": [None], "x": ""}).encode()
    assert ask(page, CALL, "POST", [body.ljust(50)])[0] == 200
    assert refusal(page, CALL, "POST", [body.ljust(50), b" "]) == (413, said, None)
    assert refusal(page, CALL, "POST", [body], content_length=51) == (413, said, None)
    page.bodies = guard.MAX_BODIES - len(body)
    assert ask(page, CALL, "POST", [body[:9], body[9:]])[0] == 200
    page.bodies += 1
    status, headers, text = ask(page, CALL, "POST", [body[:9], body[9:]])
    assert (status, headers["retry-after"]) == (503, "10") and page.bodies == guard.MAX_BODIES - len(body) + 1
    assert json.loads(text)["detail"] == "The server is busy. Please try again."


def test_what_an_assistant_sends_may_be_as_large_as_a_photo_in_text_and_needs_room(page, app, monkeypatch):
    monkeypatch.setattr(guard, "MAX_JSON", 50)
    assert ask(page, f"{guard.MCP}/", "POST", [b"x" * 1383])[0] == 200 and app.body == b"x" * 1383
    assert page.store.taken == [1383]  # 4/3 of 1000, and 50
    assert "more than 1,383 bytes" in refusal(page, guard.MCP, "POST", [b"x" * 1384])[1]
    page.store.room = 5
    assert refusal(page, guard.MCP, "POST", [b"x" * 9]) == (507, uploads.NO_ROOM, "60")


@pytest.mark.parametrize("name", ["session_hash", "event_id"])
def test_a_name_has_64_characters_at_most(name, page):
    assert ask(page, CALL, "POST", {"data": [None], name: "x" * 64})[0] == 200
    assert ask(page, CALL, "POST", {"data": [None], name: None})[0] == 200
    for value in ("x" * 65, 7):
        said = (400, f"{name} must be a string of at most 64 characters.", None)
        assert refusal(page, CALL, "POST", {"data": [None], name: value}) == said


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"data": %s}' % (b"[" * 500 + b"]" * 500)])
def test_a_question_is_a_json_object(body, page):
    assert refusal(page, CALL, "POST", [body]) == (400, "Please send one JSON object.", None)


@pytest.mark.parametrize(
    "path, question, status",
    [
        (CALL, {"data": [None]}, 200),
        (CALL, {"data": [{"path": "a.jpg"}]}, 200),
        (CALL, {"data": [None], "fn_index": 1}, 200),  # which does not count there
        ("/gradio_api/run/both", {"data": [None, "text"]}, 200),
        ("/gradio_api/run/x", {"data": [None], "fn_index": 0}, 200),
        (JOIN, {"data": [None], "fn_index": 0}, 200),
        (JOIN, {"data": [None, None], "fn_index": 1}, 200),
        (JOIN, {"data": [None]}, 404),
        (JOIN, {"data": [None], "fn_index": 2}, 404),
        ("/gradio_api/call/join", {"data": [None]}, 404),
        ("/gradio_api/run/predicts", {"data": [None]}, 404),
        (CALL, {"data": []}, 400),
        (CALL, {"data": [None, None]}, 400),
        (CALL, {"data": ["a.jpg"]}, 400),
        (CALL, {}, 400),
    ],
)
def test_a_question_is_for_a_function_that_takes_it(path, question, status, page):
    if status == 200:
        assert ask(page, path, "POST", question)[0] == 200
    else:
        said = {404: "There is no such function", 400: "This is the wrong input for the function"}[status]
        assert refusal(page, path, "POST", question) == (status, f"{said}. The API is described at ?view=api.", None)


# Names of sessions and uploads


@pytest.mark.parametrize("name", ["session_hash", "upload_id"])
def test_names_in_an_address_are_short(name, page):
    said = (400, "The name of a session or an upload can have at most 64 characters.", None)
    assert ask(page, "/gradio_api/upload_progress", query=f"{name}={'x' * 64}")[0] == 200
    assert refusal(page, "/gradio_api/upload_progress", query=f"{name}={'x' * 65}") == said
    assert refusal(page, "/gradio_api/upload_progress", query=f"{name}=x&{name}={'x' * 65}") == said
    assert ask(page, f"/gradio_api/heartbeat/{'x' * 64}")[0] == 200
    assert refusal(page, f"/gradio_api/heartbeat/{'x' * 65}") == said
    assert ask(page, f"/gradio_api/file={'x' * 65}")[0] == 200


def test_only_sessions_and_events_that_there_are_can_be_listened_to(page, app):
    queue = app.demo._queue
    queue.pending_messages_per_session["mine"] = None
    queue.pending_event_ids_session = {"mine": {"one"}, "other": {"two"}}
    assert ask(page, "/gradio_api/queue/data", query="session_hash=mine")[0] == 200
    said = (404, "There is no such session. Please join the queue first.", None)
    assert refusal(page, "/gradio_api/queue/data", query="session_hash=yours") == said
    assert [ask(page, f"{CALL}/{event}")[0] for event in ("one", "two")] == [200, 200]
    assert refusal(page, f"{CALL}/three") == (404, "There is no such event. Please ask again.", None)


def test_the_oldest_names_are_forgotten_where_nothing_waits_for_them(page, app, monkeypatch):
    monkeypatch.setattr(guard, "MAX_REMEMBERED", 2)
    monkeypatch.setattr(file_upload_statuses, "_signals", dict.fromkeys("abcd"))
    monkeypatch.setattr(file_upload_statuses, "_statuses", dict.fromkeys("bcd"))
    app.demo._queue.pending_event_ids_session = {"a": set(), "b": {"waits"}, "c": set(), "d": set(), "e": set()}
    assert ask(page, CALL, "POST", QUESTION)[0] == 200
    assert list(app.demo._queue.pending_event_ids_session) == ["b", "d", "e"]
    assert list(file_upload_statuses._signals) == list(file_upload_statuses._statuses) == ["c", "d"]


# Places in the queue


@pytest.fixture
def proxy(monkeypatch):
    monkeypatch.setattr(guard, "is_proxy", lambda client: client == PROXY)
    monkeypatch.setattr(guard, "MAX_PLACES", 3)
    monkeypatch.setattr(guard, "MAX_PLACES_OF_A_PROXY", 5)


def test_a_full_queue_is_a_sentence(page, app):
    waiting = SimpleNamespace(queue=[1, 2])
    app.demo._queue.event_queue_per_concurrency_id = {"a": waiting}
    assert ask(page, CALL, "POST", QUESTION)[0] == 200
    waiting.queue.append(3)
    said = "The app is busy. Please try again in a minute."
    assert refusal(page, CALL, "POST", QUESTION) == (503, said, "60")
    for path in ("/gradio_api/run/predict", "/gradio_api/run/both"):  # Gradio refuses one, the other has no queue
        assert ask(page, path, "POST", {"data": [None, None][: 1 + path.endswith("both")]})[0] == 200


def test_a_client_has_so_many_places_and_no_more(page, app, proxy):
    fill(app.demo, [("10.0.0.1", "")] * 2 + [("10.0.0.2", "")] * 9)
    assert ask(page, CALL, "POST", QUESTION)[0] == 200 and not page.asking
    page.asking["10.0.0.1", ""] = 1  # one more that is about to join
    status, headers, text = ask(page, CALL, "POST", QUESTION)
    assert (status, headers["retry-after"]) == (429, "10") and page.asking == {("10.0.0.1", ""): 1}
    assert json.loads(text)["detail"] == f"3 photos from your address are in the queue. {guard.WAIT}"
    app.demo._queue.pending_event_ids_session.clear()  # all are answered
    assert ask(page, CALL, "POST", QUESTION)[0] == 200


def test_behind_a_proxy_each_session_has_so_many_places_and_all_have_a_bound(page, app, proxy):
    full = (429, f"Many photos are in the queue. {guard.WAIT}", "10")
    fill(app.demo, [("10.9.9.9", "mine")] * 3 + [("10.9.9.9", "other")])
    assert refusal(page, CALL, "POST", QUESTION, client=PROXY) == full
    assert ask(page, CALL, "POST", {**QUESTION, "session_hash": "new"}, client=PROXY)[0] == 200
    assert app.scope["asker"] == ("10.9.9.9", "new")
    assert ask(page, CALL, "POST", {"data": [None]}, client=PROXY, query="session=named")[0] == 200
    assert app.scope["asker"] == ("10.9.9.9", "named")
    fill(app.demo, [("10.9.9.9", "third")], "other")
    assert refusal(page, CALL, "POST", {**QUESTION, "session_hash": "new"}, client=PROXY) == full


def test_who_names_no_session_has_a_place_for_each_page_that_is_open_behind_the_proxy(page, app, proxy):
    full = (429, f"Many photos are in the queue. {guard.WAIT}", "10")
    fill(app.demo, [("10.9.9.9", "")] * 3)
    assert refusal(page, CALL, "POST", {"data": [None]}, client=PROXY) == full
    page.tabs["10.9.9.9"] = 1
    assert ask(page, CALL, "POST", {"data": [None]}, client=PROXY)[0] == 200
    fill(app.demo, [("10.9.9.9", "mine")] * 3, "mine")
    page.tabs["10.9.9.9"] = 9
    assert refusal(page, CALL, "POST", QUESTION, client=PROXY) == full


@pytest.mark.parametrize(
    "query, question, session",
    [
        ("session=a", {}, "a"),
        (f"session={'x' * 99}", {}, "x" * 64),
        ("session=a&session=b", {"session_hash": "c"}, "c"),
        ("session=%C3%A4", {"session_hash": ""}, "ä"),
        ("", {}, ""),
    ],
)
def test_the_session_is_gradios_or_the_pages(query, question, session):
    assert guard.session_of({"query_string": query.encode()}, question) == session


# Arguments of launch


@pytest.fixture
def launched(demo, tmp_path, monkeypatch):
    """Let tests call `protected`. Return a list that then gets the proxies for connection limits, and the store."""
    proxies = []
    monkeypatch.setattr(guard, "limit_connections", proxies.append)
    monkeypatch.setattr(guard, "routes", lambda file: [file.name])
    monkeypatch.setattr(guard, "page_routes", lambda first: [first])
    monkeypatch.setattr(demo, "first", "the first answer", raising=False)
    monkeypatch.setattr(Store, "keep_sweeping", lambda store: proxies.append(store))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")  # so that what `protected` sets is undone
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    monkeypatch.setattr(demo, "learn", SimpleNamespace(file=tmp_path / "export.pkl"), raising=False)
    return proxies


@pytest.mark.parametrize(
    "host, share, root_path, trusted, limited, hosts, forwarded",
    [
        ("127.0.0.1", False, None, "", "127.0.0.1,::1", {"127.0.0.1", "localhost", "::1"}, False),
        ("0.0.0.0", False, None, "", "", set(), False),
        ("127.0.0.1", True, None, "127.0.0.1,::1", "127.0.0.1,::1", set(), True),
        ("0.0.0.0", False, "/bears/", "127.0.0.1,::1", "127.0.0.1,::1", set(), True),
    ],
)
def test_the_page_is_launched_private_and_guarded(
    host, share, root_path, trusted, limited, hosts, forwarded, launched, demo, tmp_path
):
    options = guard.protected(demo, host, share, root_path)
    [middleware], routes = options["app_kwargs"]["middleware"], options["app_kwargs"]["routes"]
    page = middleware.cls("app", *middleware.args, **middleware.kwargs)
    assert isinstance(page, Guard) and (page.max_file_size, page.hosts, page.forwarded) == (
        MAX_FILE_SIZE,
        hosts,
        forwarded,
    )
    assert os.environ["FORWARDED_ALLOW_IPS"] == trusted and launched == [limited, page.store]
    assert routes == [guard.ROUTE, "the first answer", "export.pkl"]
    assert page.store.folder == tmp_path and page.store.listed is demo.temp_file_sets
    del options["app_kwargs"]
    assert options == {
        "server_name": host,
        "share": False,
        "prevent_thread_lock": True,
        "quiet": True,
        "root_path": (root_path or "").rstrip("/"),
        "max_file_size": MAX_FILE_SIZE,
        "enable_monitoring": False,
        "run_history": False,
        "state_session_capacity": 100,
        "_frontend": False,
    }


def test_the_page_about_security_has_the_limit_of_an_upload():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"A file may have {MAX_FILE_SIZE // 2**20} MB." in page


def test_who_may_speak_for_visitors_is_whom_the_environment_names(launched, demo, monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.1.1.1")
    guard.protected(demo, "127.0.0.1", False, None)
    assert launched[0] == os.environ["FORWARDED_ALLOW_IPS"] == "10.1.1.1"


# Files


def grow(file, age=0, size=5):
    """Write a file of this age in seconds and size in bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))
    os.utime(file, (time.time() - age,) * 2)
    return file


def disk(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))


def test_there_is_room_up_to_the_bound_and_while_the_disk_keeps_its_reserve(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_HELD", 100)
    store = Store(tmp_path)
    disk(monkeypatch, RESERVE + 60)
    assert [store.take(60), store.take(40), store.take(1)] == [True, True, False] and store.held == 101
    store.held = 0
    assert not store.take(61)


def test_a_sweep_counts_what_stays_and_forgets_what_is_gone(tmp_path):
    here, old = grow(tmp_path / "a" / "here.jpg", 3500, 2 * LEAST), grow(tmp_path / "b" / "old.jpg", 4000)
    kept, both = {str(here), str(old)}, grow(tmp_path / "a" / "old.jpg", 4000)
    store = Store(tmp_path, [kept])
    store.sweep()
    assert store.held == 2 * LEAST and kept == {str(here)}
    assert not both.exists() and not old.parent.exists() and here.exists()
    grow(tmp_path / "small.jpg"), grow(tmp_path / "top.jpg", 4000)
    store.sweep()
    assert store.held == 3 * LEAST and not (tmp_path / "top.jpg").exists() and tmp_path.exists()


def test_a_sweep_leaves_the_folder_itself_and_bears_what_goes_meanwhile(tmp_path):
    (grow(tmp_path / "store" / "top.jpg", 4000).parent / "gone.jpg").symlink_to("nowhere")
    store = Store(tmp_path / "store")
    store.sweep()
    assert [f.name for f in store.folder.iterdir()] == ["gone.jpg"]
    (store.folder / "gone.jpg").unlink()
    grow(store.folder / "top.jpg", 4000)
    store.sweep()
    assert list(store.folder.iterdir()) == [] and store.held == 0


@pytest.mark.parametrize("free, left", [(RESERVE + 6 * LEAST, "abcd"), (RESERVE + 4 * LEAST, "abc"), (0, "")])
def test_with_little_room_the_oldest_go_until_half_of_it_is_free(free, left, tmp_path, monkeypatch):
    for age, name in enumerate("abcd"):
        grow(tmp_path / name, 100 + age)
    grow(tmp_path / "new", 50), grow(tmp_path / "newer", 10)
    disk(monkeypatch, free)
    store = Store(tmp_path)
    store.sweep()
    assert sorted(f.name for f in tmp_path.iterdir()) == [*left, "new", "newer"]
    assert store.held == LEAST * (len(left) + 2)


def test_photos_of_other_apps_of_this_user_count(tmp_path, monkeypatch):
    mine, other = tmp_path / "photos-mine", tmp_path / "photos-other"
    grow(mine / "a.jpg"), grow(other / "b.jpg"), grow(other / "c" / "c.jpg", size=3 * LEAST)
    deleted = []
    monkeypatch.setattr(uploads, "delete_abandoned", deleted.append)
    monkeypatch.setattr(uploads, "private_folders", lambda parent: [str(mine), str(other)] * (parent == tmp_path))
    store = Store(mine)
    assert store.others() == 4 * LEAST and deleted == [tmp_path]
    store.sweep()
    assert store.held == 5 * LEAST


def test_sweeping_goes_on_in_a_thread_whatever_happens_to_the_folder(tmp_path, monkeypatch):
    class Sweeping(Store):
        def sweep(self):
            swept.append(1)
            if len(swept) == 3:
                raise SystemExit  # ends the thread
            raise FileNotFoundError

    def sleep(seconds):
        assert seconds == 5 and len(swept) < 3

    swept, threads = [], []
    monkeypatch.setattr(uploads, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(
        uploads.threading, "Thread", lambda **kwargs: threads.append(kwargs) or SimpleNamespace(start=kwargs["target"])
    )
    with pytest.raises(SystemExit):
        Sweeping(tmp_path).keep_sweeping()
    assert len(swept) == 3 and threads[0]["daemon"]


# Photos


def parse(*parts, chunk=None):
    """Return the result of the parser for a form with these parts, (name of the file or None, bytes)."""
    body = b""
    for name, data in parts:
        file = f'; filename="{name}"' if name else ""
        body += b'--x\r\nContent-Disposition: form-data; name="files"%s\r\n\r\n' % file.encode() + data + b"\r\n"
    body += b"--x--\r\n"

    async def stream():
        for at in range(0, len(body), chunk or len(body)):
            yield body[at : at + (chunk or len(body))]

    parsers = []

    async def read():
        parsers.append(uploads.PhotoParser(Headers({"content-type": MULTIPART}), stream(), max_file_size=10**6))
        return await parsers[0].parse()

    try:
        return [file.file.read() for file in run(read).getlist("files")]
    except uploads.MultiPartException as e:
        assert not any(os.path.exists(file.name) for file in parsers[0]._files_to_close_on_error)
        return e.message


def saved(format):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize("chunk", [None, 1, 7])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"])
def test_photos_are_taken_in_however_they_come(format, chunk):
    assert parse(("a.jpg", saved(format)), ("b.jpg", saved("PNG")), chunk=chunk) == [saved(format), saved("PNG")]


@pytest.mark.parametrize("chunk", [None, 1])
@pytest.mark.parametrize("data", [b"", b"B", b"%PDF-1.7 and more than sixteen", saved("PPM"), b"x" * 15, b"x" * 16])
def test_other_files_are_not(data, chunk):
    assert parse(("a.jpg", saved("PNG")), ("b.jpg", data), chunk=chunk) == uploads.NO_PHOTO


def test_a_field_without_a_file_is_refused():
    assert parse((None, b"text")) == "Please send photos as files."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    grow(tmp_path / "uploads" / "a b.jpg"), grow(tmp_path / "mine.jpg")
    return tmp_path / "uploads"


def test_only_uploads_are_received(folder):
    path = str(folder / "a b.jpg")
    assert uploads.received({"path": path}) == path
    (folder / "link.jpg").symlink_to(folder.parent / "mine.jpg")
    for wrong in (str(folder.parent / "mine.jpg"), f"{folder}/../mine.jpg", str(folder / "link.jpg"), "a\0b", "", None):
        with pytest.raises(gr.Error, match=r"^'Please upload the photo itself. Links and other") as e:
            uploads.received({"path": wrong})
        assert not e.value.print_exception
    with pytest.raises(gr.Error):
        uploads.received({})


def test_with_less_than_half_of_the_reserve_nothing_is_received(folder, monkeypatch):
    photo = {"path": str(folder / "a b.jpg")}
    disk(monkeypatch, RESERVE // 2)
    assert uploads.received(photo) == photo["path"]
    disk(monkeypatch, RESERVE // 2 - 1)
    with pytest.raises(gr.Error, match="has no space") as e:
        uploads.received(photo)
    assert not e.value.print_exception


def test_an_address_is_an_upload_or_nothing(folder):
    path = str(folder / "a b.jpg")
    address = f"http://localhost:7860/gradio_api/file={path.replace(' ', '%20')}"
    assert run(gr.processing_utils.async_ssrf_protected_download, address, "") == path
    with pytest.raises(gr.Error, match=r"^'Please upload the photo itself. Links are not opened\.") as e:
        run(uploads.refuse_links, "http://example.com/a.jpg", "")
    assert not e.value.print_exception


def test_the_page_of_the_api_asks_for_a_file():
    image = uploads.only_uploads(gr.Image())
    assert image.api_info()["additional_description"] == "A file with a photo; web addresses are not opened."
    assert image.api_info()["title"] == gr.Image().api_info()["title"]
    assert image.example_payload() == {"path": "photo.jpg", **FILE_DATA}
