"""Test downloads from a server that misbehaves."""

import io
import itertools
import os
import socket
import subprocess
import sys
import time

import pytest
from bears.download import MAX_BYTES, WORKERS, Web, fetch_photo, fetch_photos
from bears.errors import DownloadError, TryLater
from bears.model.photo import small_jpeg
from helpers import ROOT
from PIL import Image
from webserver import WebServer, draw_photo

SHRINK = """
import sys
from pathlib import Path
from bears.model.photo import small_jpeg
from helpers import memory

before = memory("self", "VmHWM")
small_jpeg(Path(sys.argv[1]).read_bytes())
print(memory("self", "VmHWM") - before)
"""


@pytest.fixture
def web(web_server):
    with Web(allowed=[web_server.server_address], seconds=0.5, pauses=(0.01, 0.01)) as web:
        yield web


def redirect(target, body=b""):
    return lambda handler: handler.answer(body, 302, {"Location": target})


def drip(handler):
    """Send one byte now and then, so that no timeout between two bytes is reached."""
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def slow_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    drip(handler)


def slow_body(handler):
    handler.send_response(200)
    handler.end_headers()
    drip(handler)


def endless_body(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(2**16))


def endless_redirect(handler):
    handler.send_response(302)
    handler.send_header("Location", "/photo.jpg")
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(2**16))


def cut_off(handler):
    handler.answer(b"half of it", headers={"Content-Length": 20})


def test_fetches_what_is_there_and_says_who_asks(web, web_server):
    agents = []
    web_server.pages["/file"] = lambda handler: (agents.append(handler.headers["User-Agent"]), handler.answer(b"it"))
    web_server.pages["/moved"] = redirect("/file")
    assert web.fetch(web_server.url("/moved")) == b"it"
    assert agents[0].startswith("bears-lesson-2/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433"])
def test_private_address_is_refused_by_any_name(web_server, host):
    with Web() as web, pytest.raises(DownloadError, match="private address"):
        web.fetch(f"http://{host}:{web_server.server_port}/file")
    assert not web_server.asked


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_private_address_of_ipv6_is_refused(web_server):
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with listener, Web() as web, pytest.raises(DownloadError, match="private address"):
        web.fetch(f"https://[::1]:{listener.getsockname()[1]}/file")


def test_redirect_to_a_private_address_is_refused(web, web_server):
    other = WebServer()
    for host in ("127.0.0.1", "localhost"):
        web_server.pages["/away"] = redirect(f"http://{host}:{other.server_port}/secret")
        with pytest.raises(DownloadError, match="private address"):
            web.fetch(web_server.url("/away"))
    assert not other.asked
    other.close()


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://[", "http://" + "a" * 70, "/round"])
def test_redirect_to_nowhere_is_one_sentence(web, web_server, target):
    web_server.pages["/round"] = redirect(target)
    with pytest.raises(DownloadError):
        web.fetch(web_server.url("/round"))
    assert len(web_server.asked) <= 6


@pytest.mark.parametrize("page", [slow_headers, slow_body])
def test_slow_answer_ends_in_time(web, web_server, page):
    web_server.pages["/slow"] = page
    start = time.monotonic()
    with pytest.raises(TryLater):
        web.fetch(web_server.url("/slow"))
    assert time.monotonic() - start < 3


def test_endless_answer_is_cut_at_the_limit(web, web_server):
    web_server.pages["/endless"] = endless_body
    web.seconds = 30
    with pytest.raises(DownloadError, match=f"more than {MAX_BYTES // 10**6} MB"):
        web.fetch(web_server.url("/endless"))


def test_endless_body_of_a_redirect_is_not_read(web, web_server):
    web_server.pages |= {"/away": endless_redirect, "/photo.jpg": b"it"}
    assert web.fetch(web_server.url("/away")) == b"it"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_server_is_asked_again(web, web_server, status):
    tries = itertools.count()
    web_server.pages["/busy"] = lambda handler: (
        handler.answer(b"it") if next(tries) else handler.answer(b"", status, {"Retry-After": 0})
    )
    assert web.fetch(web_server.url("/busy")) == b"it"


@pytest.mark.parametrize("page", [cut_off, lambda handler: handler.answer(b"", 502)])
def test_server_that_stays_broken_is_given_up(web, web_server, page):
    web_server.pages["/broken"] = page
    with pytest.raises(TryLater):
        web.fetch(web_server.url("/broken"))
    assert len(web_server.asked) == 3


def test_missing_file_is_not_asked_for_again(web, web_server):
    with pytest.raises(DownloadError, match="404"):
        web.fetch(web_server.url("/missing"))
    assert len(web_server.asked) == 1


def test_waits_as_long_as_the_server_asks_and_says_so_once(web, web_server, capsys):
    free = time.monotonic() + 1
    web_server.pages["/photo.jpg"] = lambda handler: (
        handler.answer(b"", 429, {"Retry-After": 1}) if time.monotonic() < free else handler.answer(draw_photo(0))
    )
    for _, photo in fetch_photos(web, [{"url": web_server.url("/photo.jpg")}] * 4, small_jpeg):
        assert len(photo) == 2
    assert time.monotonic() >= free
    assert capsys.readouterr().out.count("127.0.0.1 asked us to wait 1 second") == 1


@pytest.mark.parametrize("headers", [{}, {"Retry-After": 1}], ids=["without a time", "with one"])
def test_host_that_stays_busy_is_waited_for_once_and_not_once_per_photo(web, web_server, headers, monkeypatch, capsys):
    monkeypatch.setattr("bears.download.TOO_MANY", 1)
    web_server.pages |= {f"/{i}.jpg": lambda handler: handler.answer(b"", 429, headers) for i in range(12)}
    wanted = [{"url": web_server.url(path)} for path in web_server.pages]
    wanted.append({"url": f"http://localhost:{web_server.server_port}/there.jpg"})  # another host
    web_server.pages["/there.jpg"] = draw_photo(0)
    *busy, there = [photo for _, photo in fetch_photos(web, wanted, small_jpeg, patience=1)]
    assert len(web_server.asked) <= 12 + WORKERS + 1
    assert {str(photo) for photo in busy} == {"the server answers 429: wait 1 seconds"} and len(there) == 2
    assert capsys.readouterr().out.count("127.0.0.1 asked us to wait") == 1


def test_photo_that_stays_busy_is_waited_for_once_although_its_host_answers_others(web, web_server):
    web_server.pages |= {f"/{i}.jpg": draw_photo(i) for i in range(4)}
    web_server.pages["/busy.jpg"] = lambda handler: handler.answer(b"", 429, {"Retry-After": 1})
    wanted = [{"url": web_server.url(path)} for path in ("/busy.jpg", "/0.jpg", "/1.jpg", "/2.jpg", "/3.jpg")]
    (_, busy), *_ = fetch_photos(web, wanted, small_jpeg, patience=1)
    assert isinstance(busy, TryLater) and web_server.asked.count("/busy.jpg") == 2


@pytest.mark.parametrize("headers", [{"Retry-After": 3600}, {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, {}])
def test_does_not_wait_longer_than_it_has_patience(web, web_server, headers):
    web_server.pages["/busy"] = lambda handler: handler.answer(b"", 429, headers)
    with pytest.raises(TryLater, match="429"):
        web.fetch(web_server.url("/busy"), patience=30)
    assert len(web_server.asked) == 1


def test_no_answer_at_all_is_for_another_time(web, web_server):
    web_server.close()
    with pytest.raises(TryLater, match="no answer"):
        web.fetch(web_server.url("/"))


def test_photo_must_be_the_file_that_it_was(web, web_server):
    web_server.pages["/photo.jpg"] = draw_photo(0)
    digest, _ = fetch_photo(web, web_server.url("/photo.jpg"), small_jpeg)
    assert fetch_photo(web, web_server.url("/photo.jpg"), small_jpeg, digest)[0] == digest
    web_server.pages["/photo.jpg"] = draw_photo(1)
    with pytest.raises(DownloadError, match="has changed"):
        fetch_photo(web, web_server.url("/photo.jpg"), small_jpeg, digest)


@pytest.mark.parametrize("body", [b"", b"<html>Not found</html>", draw_photo(0)[:500], b"<svg/>"])
def test_what_is_no_photo_is_refused(web, web_server, body):
    web_server.pages["/photo.jpg"] = body
    with pytest.raises(DownloadError, match="This"):
        fetch_photo(web, web_server.url("/photo.jpg"), small_jpeg)


def test_photo_is_kept_small_upright_and_in_rgb():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    with Image.open(io.BytesIO(small_jpeg(draw_photo(0, (1200, 800), exif=exif)))) as im:
        assert (im.format, im.mode, im.size) == ("JPEG", "RGB", (341, 512))
        assert not im.getexif()
    with Image.open(io.BytesIO(small_jpeg(draw_photo(0, (60, 40), "PNG")))) as im:
        assert (im.format, im.size) == ("JPEG", (60, 40))


@pytest.mark.slow
def test_a_long_thin_photo_takes_no_more_memory_than_another(tmp_path):
    Image.new("L", (40_000, 2_100)).save(tmp_path / "thin.jpg")  # a byte a pixel here, four once it is in RGB
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", SHRINK, tmp_path / "thin.jpg"]
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 100 * 2**20


def test_a_panorama_keeps_its_whole_length():
    with Image.open(io.BytesIO(small_jpeg(draw_photo(0, (18_000, 1_000))))) as im:
        assert im.size == (512, 28)
