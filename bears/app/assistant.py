"""What AI assistants read (MCP): the verdict first, then the probabilities as JSON, then the picture."""

import json

from gradio.mcp import GradioMCPServer

as_content = GradioMCPServer.postprocess_output_data


def verdict_first(server, data, root_url):
    """Takes the place of Gradio's method, which writes the answer of `/predict` as one Python tuple."""
    label, verdict, heatmap = data[0] if len(data) == 1 else data  # as it is where the assistant watches the progress
    probs = {c["label"]: round(c["confidence"], 4) for c in label["confidences"]}
    return as_content(server, [verdict, json.dumps(probs, ensure_ascii=False), heatmap], root_url)


GradioMCPServer.postprocess_output_data = verdict_first
