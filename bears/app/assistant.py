"""Adapt the app to AI assistants (MCP).

Gradio tells assistants to send the web address of a photo, but this app doesn't open web addresses. So this module
tells assistants how to send a photo. This module also puts the verdict first in the answer to an assistant.
"""

import json

from gradio.mcp import GradioMCPServer

FORMAT = "a data: address (data:image/jpeg;base64,...), or the address of a photo that was uploaded to this server"
NOT_OPENED = (
    "Please upload the photo itself, or send it as a data: address (data:image/jpeg;base64,...)."
    " Other web addresses and paths are not opened."
)

as_schema = GradioMCPServer.simplify_filedata_schema
as_files = GradioMCPServer.convert_strings_to_filedata
as_content = GradioMCPServer.postprocess_output_data


def ask_for_data(server, schema):
    """Replace Gradio's `simplify_filedata_schema`, so that the schema says which addresses of photos the app opens."""
    simple, positions = as_schema(server, schema)
    for photo in simple["properties"].values():
        photo["format"] = FORMAT
    return simple, positions


def open_data(server, arguments, positions):
    """Replace Gradio's `convert_strings_to_filedata`. Raises `ValueError` for an address that the app doesn't open."""
    for photo in arguments.values():
        if not photo.startswith("data:") and "/gradio_api/file=" not in photo:
            raise ValueError(NOT_OPENED)
    return as_files(server, arguments, positions)


def verdict_first(server, data, root_url):
    """Replace Gradio's `postprocess_output_data`, which would send the answer of `/predict` as a Python tuple."""
    label, verdict, heatmap, certainty = data[0] if len(data) == 1 else data  # a list of one if Gradio reports progress
    probs = {c["label"]: round(c["confidence"], 4) for c in label["confidences"]}
    content = [verdict, json.dumps(probs, ensure_ascii=False), heatmap, json.dumps({"certainty": certainty})]
    return as_content(server, content, root_url)


GradioMCPServer.simplify_filedata_schema = ask_for_data
GradioMCPServer.convert_strings_to_filedata = open_data
GradioMCPServer.postprocess_output_data = verdict_first
