"""Pass the HTML, CSS and JavaScript in bears/web to Gradio, and serve the JavaScript modules to browsers."""

import hashlib

from bears.web.files import ICON, MODULES, WEB, style, text_of
from bears.web.theme import THEME
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OURS = ("device.js", "feedback.js", "gradio.js", "home.js", "server.js")  # the offline version has none of these
SENT = {name: (WEB / name).read_bytes() for name in (*MODULES, *OURS)}
# This address contains a hash of all modules, so browsers may cache them forever. It is relative to the app's address.
ADDRESS = f"web/{hashlib.sha256(b''.join(SENT.values())).hexdigest()[:12]}"
PRELOAD = "".join(f'<link rel="modulepreload" href="./{ADDRESS}/{name}">\n' for name in SENT if name != "home.js")

LOOK = {"css": style(), "theme": THEME, "favicon_path": ICON}  # for demo.launch
# Arguments for gr.HTML. It passes all arguments that it doesn't know to bears/web/load.js as `props`.
TAB = {"js_on_load": text_of("load.js"), "module": f"{ADDRESS}/gradio.js"}
PHOTO = {**TAB, "html_template": text_of("page.html"), "elem_id": "page", "tab": "photo"}
CAMERA = {**TAB, "html_template": text_of("camera.html"), "elem_id": "camera", "tab": "camera"}


async def send_module(request: Request) -> Response:
    """Send the JavaScript module with the requested name."""
    if data := SENT.get(request.path_params["name"]):
        # The second header lets the service worker home.js act for the app's address, two folders up.
        headers = {"cache-control": "max-age=31536000, immutable", "service-worker-allowed": "../../"}
        return Response(data, media_type="text/javascript", headers=headers)
    return Response(status_code=404)


ROUTE = Route(f"/{ADDRESS}/{{name}}", send_module)
