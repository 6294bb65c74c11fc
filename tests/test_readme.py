"""Test that the snippets in docs/api.md work as they are."""

import re
import subprocess
import sys

import pytest
from helpers import ROOT, needs

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def snippet(language, word):
    """Return the one code block of the page in `language` that contains `word`."""
    [code] = [code for code in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if word in code]
    return code


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "-c", snippet("python", "certainty")], id="gradio_client"),
        pytest.param(["bash", "-euc", snippet("sh", "curl")], id="curl", marks=needs("curl")),
    ],
)
def test_snippet_prints_the_verdict(server, command):
    command = [part.replace("http://127.0.0.1:7860", server.url.rstrip("/")) for part in command]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "Teddy bear, 96% sure" in result.stdout, result.stderr
