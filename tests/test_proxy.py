"""Test the app behind Debian's nginx, which doesn't pass on clients' addresses: nobody is locked out."""

import argparse
import contextlib
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from bears.cli import root_path
from helpers import FILE_DATA, ROOT, Nginx, Server, ask_from, needs, stopped_model, upload

TEDDY = (ROOT / "examples" / "teddy.jpg").read_bytes()
pytestmark = needs("nginx")


@pytest.fixture(scope="module")
def proxied(server, tmp_path_factory):
    """Start a proxy that no option of the app names, and yield the app's address behind it."""
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), server.url)
    yield nginx.url
    nginx.close()


def visit(url, wait=0):
    """Visit the app with one photo; return the status and text of the last answer."""
    time.sleep(wait)
    url += "/gradio_api"
    with requests.get(f"{url}/heartbeat/{uuid.uuid4().hex}", stream=True, timeout=60) as page:
        page.raise_for_status()
        sent = requests.post(f"{url}/upload", files={"files": ("photo.jpg", TEDDY)}, timeout=60)
        if not sent.ok:
            return sent.status_code, sent.text
        question = {"data": [{"path": sent.json()[0], **FILE_DATA}]}
        asked = requests.post(f"{url}/call/predict", json=question, timeout=60)
        if not asked.ok:
            return asked.status_code, asked.json()["detail"]
        answer = requests.get(f"{url}/call/predict/{asked.json()['event_id']}", timeout=120)
        return answer.status_code, answer.text


@pytest.mark.slow
@pytest.mark.parametrize("visitors, seconds", [(30, 0), (60, 0), (60, 5), (90, 0)])
def test_no_visitor_is_refused_for_what_others_do(proxied, visitors, seconds):
    with ThreadPoolExecutor(visitors) as pool:
        said = list(pool.map(lambda i: visit(proxied, seconds * i / visitors), range(visitors)))
    refused = [(status, text) for status, text in said if status != 200]
    assert not refused or visitors > 60, refused
    assert all(status in (429, 503) and "Many photos are in the queue" in text for status, text in refused)
    assert all("Teddy bear" in text for status, text in said if status == 200)


@pytest.mark.slow
def test_so_many_open_pages_behind_a_proxy_lock_nobody_out(proxied):
    with contextlib.ExitStack() as stack:
        for i in range(130):
            page = requests.get(f"{proxied}/gradio_api/heartbeat/{i}", stream=True, timeout=30)
            assert stack.enter_context(page).ok
        assert "Teddy bear" in visit(proxied)[1]


@pytest.mark.slow
def test_a_greedy_session_behind_a_proxy_leaves_places_to_others_and_the_proxy_to_other_addresses(server, proxied):
    photo, direct = upload(server, TEDDY), "127.0.0.2"
    with stopped_model(server):
        for session in ("one", "two", "three"):
            assert not any(ask_from(proxied, photo, session=session) for _ in range(24))
            said = ask_from(proxied, photo, session=session)
            assert said == "Many photos are in the queue. Please wait for an answer, or for ten seconds."
        assert "Many photos" in ask_from(proxied, photo, session="four")  # the last quarter is kept for other addresses
        assert not any(ask_from(server.url, photo, direct, session=str(i)) for i in range(24))
        assert ask_from(server.url, photo, direct, session="more")  # a new session's name doesn't help a known address
    deadline = time.monotonic() + 60
    while "Teddy bear" not in visit(proxied)[1]:  # until all these are answered
        assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Start an app with --root-path and a proxy that passes on clients' addresses; yield the server and the address."""
    folder = tmp_path_factory.mktemp("told")
    server = Server(folder / "log", "--root-path", "/bears/")
    nginx = Nginx(
        folder,
        server.url,
        "/bears/",
        "proxy_set_header X-Forwarded-For $arg_session; proxy_set_header Host $http_host;",
    )
    yield server, nginx.url
    nginx.close()
    server.close()


@pytest.mark.slow
def test_a_page_that_knows_its_path_works_behind_a_proxy(told, browser):
    page = browser.new_page()
    page.goto(f"{told[1]}/")
    assert page.evaluate("window.gradio_config.root") == told[1]
    page.get_by_label("Example: Teddy bear").click()
    page.get_by_text("Teddy bear, 96% sure").wait_for(timeout=60_000)
    page.close()


@pytest.mark.slow
def test_where_the_proxy_says_for_whom_it_asks_an_address_has_its_share(told):
    server, url = told
    photo = upload(server, TEDDY)
    with stopped_model(server):
        assert not any(ask_from(url, photo, session="9.9.9.9") for _ in range(24))
        said = ask_from(url, photo, session="9.9.9.9")
        assert said == "24 photos from your address are in the queue. Please wait for an answer, or for ten seconds."
        assert not ask_from(url, photo, session="9.9.9.8")


@pytest.mark.slow
def test_a_foreign_name_is_told_the_remedy_and_with_it_the_page_answers(server, told):
    foreign = {"headers": {"Host": "bears.example"}, "timeout": 30}
    refused = requests.get(server.url, **foreign)
    assert refused.status_code == 421 and "--root-path" in refused.text and "GRADIO_ROOT_PATH" in refused.text
    assert requests.get(told[0].url, **foreign).ok


@pytest.mark.parametrize("address", ["https://bears.example", "https://bears.example/bears/", "/", ""])
def test_whatever_address_gradio_can_take_is_one_of_the_page(address):
    assert root_path(address) == address


def test_an_address_that_is_none_is_a_sentence():
    with pytest.raises(argparse.ArgumentTypeError, match=r"bears is not an address; give one like https://bears"):
        root_path("bears")
