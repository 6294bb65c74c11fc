"""Test `app --mcp` with a real MCP client: the model is a tool for AI assistants."""

import base64
import json

import pytest
import requests
from anyio.from_thread import start_blocking_portal
from helpers import ROOT, Server
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

pytestmark = pytest.mark.slow

TEDDY = ROOT / "examples" / "teddy.jpg"


@pytest.fixture(scope="module")
def mcp_url(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mcp") / "log", "--mcp")
    yield server.url
    server.close()


def ask(mcp_url, question):
    """Return the result of the coroutine function `question` for a session with the server."""

    async def session():
        async with (
            streamable_http_client(f"{mcp_url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await question(session)

    with start_blocking_portal() as portal:  # a new thread, since a browser may use this one's event loop
        return portal.call(session)


def test_there_is_one_tool_and_its_description_says_what_it_does(mcp_url):
    [tool] = ask(mcp_url, lambda session: session.list_tools()).tools
    assert tool.name.endswith("identify_bear") and list(tool.inputSchema["properties"]) == ["photo"]
    assert tool.description.startswith("Upload a photo to see whether it shows a black, grizzly or teddy bear, or none")
    schema = str(tool.inputSchema)
    assert "HEIC" in schema and "data:image/jpeg;base64,..." in schema and "http" not in schema


def test_the_tool_answers_for_an_uploaded_photo(mcp_url):
    with TEDDY.open("rb") as photo:
        [path] = requests.post(f"{mcp_url}/gradio_api/upload", files={"files": photo}, timeout=30).json()
    answer = ask(mcp_url, lambda s: call(s, f"{mcp_url}/gradio_api/file={path}"))
    verdict, probs, *heatmap, certainty = answer.content
    assert not answer.isError and verdict.text == "Teddy bear, 96% sure" and json.loads(probs.text)["teddy"] > 0.96
    assert json.loads(certainty.text) == {"certainty": "sure"}
    assert [part.type for part in heatmap] == ["image", "text"] and heatmap[0].mimeType == "image/jpeg"


def data_address(data):
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def test_the_tool_answers_for_a_photo_that_comes_along_as_a_data_address(mcp_url):
    answer = ask(mcp_url, lambda s: call(s, data_address(TEDDY.read_bytes())))
    assert not answer.isError and "Teddy bear, 96% sure" in str(answer.content)


def test_a_data_address_that_holds_no_photo_is_refused(mcp_url):
    answer = ask(mcp_url, lambda s: call(s, data_address(b"not a photo")))
    assert answer.isError and "400 Bad Request" in answer.content[0].text


def test_a_data_address_is_as_long_as_an_upload_may_be(mcp_url):
    response = requests.post(f"{mcp_url}/gradio_api/mcp/", data=data_address(bytes(26 * 2**20)), timeout=60)
    assert response.status_code == 413 and "has more than" in response.text


@pytest.mark.parametrize(
    "photo",
    [f"file={ROOT}/examples/teddy.jpg", "file=/etc/passwd", "https://example.com/teddy.jpg"],
    ids=["example", "passwd", "web"],
)
def test_the_tool_opens_nothing_else(mcp_url, photo):
    photo = photo if photo.startswith("http") else f"{mcp_url}/gradio_api/{photo}"
    answer = ask(mcp_url, lambda s: call(s, photo))
    assert answer.isError and "Please upload the photo itself" in answer.content[0].text
    assert requests.get(f"{mcp_url}/gradio_api/file=/etc/passwd", timeout=30).status_code == 403


@pytest.mark.parametrize("photo", ["https://example.com/teddy.jpg", "/etc/passwd"])
def test_a_photo_in_another_form_is_refused_with_the_form_that_is_taken(mcp_url, photo):
    answer = ask(mcp_url, lambda s: call(s, photo))
    assert answer.isError and "data:image/jpeg;base64,..." in answer.content[0].text


async def call(session, photo):
    [tool] = (await session.list_tools()).tools
    return await session.call_tool(tool.name, {"photo": photo})
