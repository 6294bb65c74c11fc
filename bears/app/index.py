"""Add a title and a picture for link previews to Gradio's HTML, and a message to show while its scripts load."""

import re

from bears.app.front_end import PRELOAD
from bears.web.policy import NONCE
from gradio.routes import templates

# See https://ogp.me. Jinja fills in the app's address at each request, since it isn't known earlier.
HEAD = """<meta charset="utf-8" />
<title>{{ config['title'] }}</title>
<meta name="description" content="{{ own.description }}" />
<meta property="og:type" content="website" />
<meta property="og:title" content="{{ config['title'] }}" />
<meta property="og:description" content="{{ own.description }}" />
{% if own.picture %}
<meta property="og:image" content="{{ config['root'] }}/gradio_api/file={{ own.picture | urlencode }}" />
{% endif %}
<meta name="twitter:card" content="summary" />
<style>.gradio-container {width: 100% !important; max-width: 40rem !important; margin: 0 auto !important}
@media (min-width: 64rem) {.gradio-container {max-width: 72rem !important}}</style>"""
# The position is absolute, so that nothing moves when bears/web/gradio.js removes this element.
FIRST = """
<div id="first" style="position: absolute; width: 100%; text-align: center; font-family: system-ui, sans-serif">
    <h1 style="font-size: 1.75rem; line-height: 1.2">{{ config['title'] }}</h1>
    <p>One moment…</p>
</div>
<gradio-app"""

SCRIPT = '<script type="module"'  # Gradio's own

gradio_source = templates.env.loader.get_source


def get_source(env, name):
    """Replace the method that reads Gradio's HTML.

    Add tags for link previews, a message to show first, and a nonce for each inline script.
    """
    source, *rest = gradio_source(env, name)
    source = re.sub(r'<meta\s+(property="og:|name="twitter:)[^>]*>', "", source)
    for old, new in (('<meta charset="utf-8" />', HEAD), (SCRIPT, PRELOAD + SCRIPT), ("<gradio-app", FIRST)):
        source = source.replace(old, new, 1)
    return re.sub(r"<script(?![^>]*\bsrc=)", '<script nonce="{{ own.nonce() }}"', source), *rest


def begin_with(description: str, picture: str | None) -> None:
    """Set the description and the picture of link previews. `picture` is the path of a file that Gradio serves."""
    templates.env.globals["own"] = {"description": description, "picture": picture, "nonce": NONCE.get}


templates.env.loader.get_source = get_source
