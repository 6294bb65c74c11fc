"""Tell AI assistants (MCP) how to send a photo, and put the verdict first in the answer.

Gradio's own description asks them for a web address of the photo, which this app doesn't open.
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
    """Replace Gradio's method: describe the addresses that the app opens."""
    simple, positions = as_schema(server, schema)
    for photo in simple["properties"].values():
        photo["format"] = FORMAT
    return simple, positions


def open_data(server, arguments, positions):
    """Replace Gradio's method: refuse other addresses, and say what to send."""
    for photo in arguments.values():
        if not photo.startswith("data:") and "/gradio_api/file=" not in photo:
            raise ValueError(NOT_OPENED)
    return as_files(server, arguments, positions)


def verdict_first(server, data, root_url):
    """Replace Gradio's method, which would write the answer of `/predict` as one Python tuple."""
    label, verdict, heatmap, certainty = data[0] if len(data) == 1 else data  # one item if progress is reported
    probs = {c["label"]: round(c["confidence"], 4) for c in label["confidences"]}
    content = [verdict, json.dumps(probs, ensure_ascii=False), heatmap, json.dumps({"certainty": certainty})]
    return as_content(server, content, root_url)


GradioMCPServer.simplify_filedata_schema = ask_for_data
GradioMCPServer.convert_strings_to_filedata = open_data
GradioMCPServer.postprocess_output_data = verdict_first
