"""Photos come in as uploads and in no other way: Gradio by itself opens what a caller of its API names.

That is any picture on this machine by its path, `data:` addresses of any length, and whatever the web has.
How large a file may be is MAX_FILE_SIZE in app.py, and how many pixels it may have is in bears/photo.py.
"""

import contextlib
import os
from urllib.parse import unquote

import gradio as gr
from gradio import processing_utils, utils


def received(photo: dict) -> str:
    """The path of an uploaded photo, from Gradio's `ImageData`; refuses everything that is not an upload."""
    path, folder = photo.get("path") or "", os.path.realpath(utils.get_upload_folder())
    with contextlib.suppress(OSError, ValueError):  # a path that no file can have
        if utils.is_in_or_equal(os.path.realpath(path), folder):
            return path
    raise gr.Error("Please upload the photo itself: links and other files are not opened.", print_exception=False)


async def refuse_links(url, cache_dir):
    """Takes the place of Gradio's download of any web address that an API caller sends as a photo.

    MCP clients name what they have uploaded here by its address, which is the path of the upload once more.
    """
    _, route, path = url.partition("/gradio_api/file=")
    if route:
        return received({"path": unquote(path)})
    raise gr.Error("Please upload the photo itself: links are not opened.", print_exception=False)


processing_utils.async_ssrf_protected_download = refuse_links
