"""Serve export.pkl as a web page: drop a photo, read how likely it is each of the model's classes.

python app.py                          # http://127.0.0.1:7860
python app.py --model my_export.pkl    # any export of train.py, whatever its classes
python app.py --share                  # and a public link for a week
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # strangers' visits are nobody's statistics
# After every answer Gradio sums up the latest 10,000 for a monitoring page, which we do not show.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")

import gradio as gr
from bears.errors import ExportError, PhotoError
from bears.process import PredictorProcess
from gradio import processing_utils, utils

HERE = Path(__file__).parent
MAX_FILE_SIZE = "25mb"
CSS = """
.gradio-container {width: 100% !important; max-width: 60rem !important; margin: 0 auto !important}
#verdict {min-height: 2.5rem}
#verdict p {font-size: 2rem; font-weight: 700; line-height: 1.25; margin: 0}
"""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "export.pkl", help="the export to serve")
    parser.add_argument("--trust-model", action="store_true", help="open any fastai export; it can run any code")
    parser.add_argument("--share", action="store_true", help="also print a public link, valid for a week")
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
    """Takes the place of Gradio's download of any web address that an API caller sends as a photo."""
    raise gr.Error("Please upload the photo itself: links are not opened.", print_exception=False)


processing_utils.async_ssrf_protected_download = refuse_links


def full_name(label, subject):
    """`Teddy bear` for `teddy` when the subject is bears; folders are seldom named in full."""
    name = label if not subject or subject.lower() in label.lower() else f"{label} {subject}"
    return name[:1].upper() + name[1:]


def headline(probs, known, facts):
    """The verdict in words, `Teddy bear, 99% sure`; rounded down, since no model is ever 100% sure."""
    if not known:
        return f"No {facts.get('subject') or either(list(probs))} here"
    label = max(probs, key=probs.get)
    return f"{full_name(label, facts.get('subject'))}, {int(100 * probs[label])}% sure"


def either(labels):
    """`black, grizzly or teddy`."""
    *others, last = labels
    return f"{', '.join(others)} or {last}" if others else last


def create_demo(model, trust=False):
    """The page, as a `gr.Blocks`, that serves the export `model`; `trust` lets it be any pickle."""
    facts = read_facts(model)
    title = full_name(either(facts.get("classes") or ["What is it"]), None) + "?"
    predictor = PredictorProcess(model, trust)

    def predict(photo):
        """Say how likely a photo shows each of the model's classes, or that it shows none, and where it looked."""
        if photo is None:
            return None, "", None
        start = time.monotonic()
        try:
            probs, known, heatmap = predictor.predict(received(photo))
        except (PhotoError, ExportError) as e:
            raise gr.Error(str(e), print_exception=False) from None
        verdict = headline(probs, known, facts)
        print(f"{time.strftime('%X')} {verdict} in {time.monotonic() - start:.3f} s", flush=True)
        return probs, verdict, heatmap

    with gr.Blocks(title=title, delete_cache=(600, 3600)) as demo:
        gr.Markdown(f"# {title}")
        with gr.Row():
            photo = gr.Image(label="Photo", type="filepath", height=320)
            with gr.Column():
                verdict = gr.Markdown(elem_id="verdict")
                label = gr.Label(label="How likely, if it is one of these", show_heading=False)
                heatmap = gr.Image(label="Where it looked", format="jpeg", height=240, interactive=False, buttons=[])
        gr.Examples([str(f) for f in sorted((HERE / "examples").glob("*.jpg"))], photo, label="Or try one of these")
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
        share=args.share or None,  # None: as GRADIO_SHARE says
        max_file_size=MAX_FILE_SIZE,
        enable_monitoring=False,
        run_history=False,  # on a shared computer the next visitor would see it
        css=CSS,
        theme=gr.themes.Soft(),
        prevent_thread_lock=True,
    )
    try:
        demo.predictor.load()
        print("The model is ready.", flush=True)
    except ExportError as e:
        demo.close()
        sys.exit(f"app.py: {e}")
    demo.block_thread()


args = parse_args(None if __name__ == "__main__" else [])
demo = create_demo(args.model, args.trust_model)

if __name__ == "__main__":
    serve(demo, args)
