"""Serve export.pkl as a web page: drop a photo, read how likely it is each of the model's classes.

python app.py                          # http://127.0.0.1:7860
python app.py --model my_export.pkl    # any export of train.py, whatever its classes
python app.py --share                  # and a public link for a week
python app.py --mcp                    # and a tool for AI assistants
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import unquote

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # strangers' visits are nobody's statistics
# After every answer Gradio sums up the latest 10,000 for a monitoring page, which we do not show.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")

import gradio as gr
from bears.errors import ExportError, PhotoError
from bears.hosts import satisfy_zerogpu, share
from bears.process import PredictorProcess
from bears.words import about, find_examples, headline, page_title
from gradio import processing_utils, utils

HERE = Path(__file__).parent
MAX_FILE_SIZE = "25mb"
WAITING = "Which one is it?"
CSS = """
.gradio-container {width: 100% !important; max-width: 60rem !important; margin: 0 auto !important}
.dark {--color-accent: var(--primary-300)}
#verdict {min-height: 2.5rem}
#verdict:has(.error) .prose, #verdict .clear-status {visibility: hidden}  /* the last verdict was on another photo */
#verdict p {font-size: 2rem; font-weight: 700; line-height: 1.25; margin: 0}
#about {font-size: 0.9rem}
#about h2 {font-size: 1.1rem}
@media (max-width: 40rem) {  /* the verdict comes before the examples, so that nobody has to scroll for it */
  #page {flex-direction: column}
  #question, #answer {display: contents}
  #examples {order: 1}
  .gallery-item {width: 22%}
}
"""


# What Gradio leaves without a name for screen readers, and with too little contrast for many eyes (WCAG 2.2, AA).
JS = """() => {
    const name = () => {
        document.querySelectorAll('[aria-label="Empty value"]').forEach(e => e.role = "img")
        document.querySelectorAll(".gallery-item").forEach(e =>
            e.ariaLabel = "Example: " + e.querySelector("img")?.src.split("/").pop().split(".")[0])
    }
    name()
    new MutationObserver(name).observe(document.body, {childList: true, subtree: true})
    // A ?view=api link opens nothing in Gradio 6.31 until its own button is switched off and on.
    const api = document.querySelector(".show-api")
    if (location.search.includes("view=api")) [1, 2].forEach(() => api?.click())
}"""
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    body_background_fill="*neutral_100",
    color_accent="*primary_700",
    block_label_text_color="*primary_800",
    block_title_text_color="*primary_800",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_300",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "export.pkl", help="the export to serve")
    parser.add_argument("--trust-model", action="store_true", help="open any fastai export; it can run any code")
    parser.add_argument("--share", action="store_true", help="also print a public link, valid for a week")
    parser.add_argument("--mcp", action="store_true", help="also answer AI assistants, as a tool (MCP)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1; 0.0.0.0 for the whole network)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    return parser.parse_args(argv)


def read_facts(model):
    """What train.py wrote about the model beside it (export.json), or nothing."""
    try:
        return dict(json.loads(model.with_suffix(".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def received(photo):
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


def create_demo(model, trust=False):
    """The page, as a `gr.Blocks`, that serves the export `model`; `trust` lets it be any pickle."""
    facts = read_facts(model)
    examples = [str(f) for f in find_examples(model, facts)]
    predictor = PredictorProcess(model, trust)

    def predict(photo):
        """Say how likely a photo shows each of the model's classes, or that it shows none, and where it looked.

        Args:
            photo: The photo, as an uploaded file: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC.

        Returns:
            The probability of each class if it is one of them; the verdict in words, which starts with "No " when
            the photo shows none of them; and the photo with a heat map of the places that spoke for the top class.
        """
        if photo is None:
            return None, WAITING, None
        start = time.monotonic()
        try:
            probs, known, heatmap = predictor.predict(received(photo))
        except (PhotoError, ExportError) as e:
            raise gr.Error(str(e), duration=None, print_exception=False) from None
        verdict = headline(probs, known, facts)
        print(f"{time.strftime('%X')} {verdict} in {time.monotonic() - start:.3f} s", flush=True)
        return probs, verdict, heatmap

    with gr.Blocks(title=page_title(facts), delete_cache=(600, 3600)) as demo:
        gr.Markdown(f"# {page_title(facts)}\nDrop a photo, paste one or take one.")
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="question"):
                photo = gr.Image(label="Photo", type="filepath", height=320, alt_text="Your photo")
                if examples:
                    gr.Examples(examples, photo, label="Or try one of these", elem_id="examples")
            with gr.Column(elem_id="answer"):
                verdict = gr.Markdown(WAITING, elem_id="verdict")
                label = gr.Label(label="How likely, if it is one of these", show_heading=False)
                heatmap = gr.Image(
                    label="Where it looked",
                    alt_text="Your photo, with the places that spoke for the answer in bright colours",
                    format="jpeg",
                    height=240,
                    interactive=False,
                    buttons=[],
                )
        gr.Markdown(about(facts), elem_id="about")
        photo.change(
            predict, photo, [label, verdict, heatmap], api_name="predict", preprocess=False, concurrency_limit=32
        )
    demo.queue(max_size=64)
    demo.predictor = predictor
    return demo


def serve(demo, args):
    """Show the page while the model loads; a photo that comes earlier waits for it."""
    demo.predictor.start()
    demo.launch(
        server_name=args.host,
        server_port=args.port,
        share=False,
        mcp_server=args.mcp,
        max_file_size=MAX_FILE_SIZE,
        enable_monitoring=False,
        run_history=False,  # on a shared computer the next visitor would see it
        css=CSS,
        theme=THEME,
        js=JS,
        prevent_thread_lock=True,
        quiet=True,
    )
    print(f"The page is at {demo.local_url}", flush=True)
    try:
        demo.predictor.load()
        print("The model is ready.", flush=True)
    except ExportError as e:
        demo.close()
        sys.exit(f"app.py: {e}")
    if args.share:
        print(share(demo), flush=True)
    demo.block_thread()


args = parse_args(None if __name__ == "__main__" else [])
gpu = satisfy_zerogpu()
demo = create_demo(args.model, args.trust_model)

if __name__ == "__main__":
    serve(demo, args)
