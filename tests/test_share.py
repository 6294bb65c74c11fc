"""Test `--share`: it prints the link, or a sentence that says what to do, and the app keeps running."""

import os
import signal
import stat
import sys

import pytest
import requests
from gradio import tunneling
from helpers import ROOT, Server, model_process, upload

pytestmark = pytest.mark.slow

TEDDY = (ROOT / "examples" / "teddy.jpg").read_bytes()
NO_NETWORK = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}


@pytest.fixture
def shared(tmp_path):
    """Return a function that starts `app.py --share` in an environment; it returns the server and its message."""
    servers = []

    def start(sentence, *args, **env):
        env = {**NO_NETWORK, "HF_HOME": str(tmp_path), **env}
        servers.append(Server(tmp_path / "log", "--share", *args, env=env))
        return servers[-1], servers[-1].wait_for(sentence + ".*", 90)

    yield start
    for server in servers:
        server.close()


def put_tunnel_program(folder, lines):
    """Replace Gradio's tunnel program by one that prints `lines` and its arguments, and keeps running."""
    program = folder / "gradio" / "frpc" / tunneling.BINARY_FILENAME
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!{sys.executable}\nimport sys, time\nprint({lines!r}, *sys.argv, flush=True)\ntime.sleep(60)\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot start a script as a program")
def test_share_prints_the_public_link_to_where_the_page_is(shared, tmp_path):
    put_tunnel_program(tmp_path, "start proxy success: http://abc.gradio.live/")
    server, said = shared("Public link", "--host", "localhost", GRADIO_SHARE_SERVER_ADDRESS="127.0.0.1:9")
    assert "https://abc.gradio.live/ " in said and " -i localhost " in said
    assert requests.get(server.url, headers={"Host": "abc.gradio.live"}, timeout=30).ok


def test_without_the_tunnel_program_one_sentence_says_where_to_put_it(shared, tmp_path):
    server, said = shared("Couldn't create a public link", GRADIO_SHARE_SERVER_ADDRESS="127.0.0.1:9")
    assert f"save {tunneling.BINARY_URL} as {tmp_path}" in said and said.endswith(f"still runs at {server.url}/")
    assert requests.get(server.url, timeout=30).ok
    assert "Traceback" not in server.log.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot start a script as a program")
def test_with_a_closed_network_one_sentence_says_what_to_check(shared, tmp_path):
    put_tunnel_program(tmp_path, "login to server failed: i/o timeout")
    server, said = shared("Couldn't create a public link", GRADIO_SHARE_SERVER_ADDRESS="127.0.0.1:9")
    assert "check that the network lets you reach gradio.live" in said
    assert requests.get(server.url, timeout=30).ok


def is_at_the_address_in_the_host_header(server):
    headers = {"Host": "my.page", "X-Forwarded-Host": "my.page"}
    return requests.get(f"{server.url}/config", headers=headers, timeout=30).json()["root"] == "http://my.page"


def test_on_binder_the_flag_is_ignored_with_a_warning(shared):
    server, said = shared("Warning: ignoring --share", BINDER_LAUNCH_HOST="https://mybinder.org/")
    assert "Binder" in said and is_at_the_address_in_the_host_header(server)


@pytest.mark.skipif(sys.platform != "linux", reason="stops a process")
def test_on_a_space_so_too_and_a_client_is_who_its_proxy_says_and_not_what_the_client_says(shared):
    server, said = shared("Warning: ignoring --share", SYSTEM="spaces")
    assert "a Hugging Face Space" in said and is_at_the_address_in_the_host_header(server)
    photo, model = upload(server, TEDDY), model_process(server)
    os.kill(model, signal.SIGSTOP)  # nobody is answered

    def ask(chain):
        ask, headers = f"{server.url}/gradio_api/call/predict", {"X-Forwarded-For": chain}
        return requests.post(ask, json={"data": [photo]}, headers=headers, timeout=30).status_code

    try:
        assert [ask(f"9.9.9.{i}, 1.2.3.4, 10.0.0.{i}") for i in range(25)] == [200] * 24 + [429]
        assert ask("1.2.3.5, 10.0.0.1") == 200
    finally:
        os.kill(model, signal.SIGCONT)
