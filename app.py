"""Serve a model as a web app: give it a photo, and it says what the photo shows and how sure it is.

python3 -m bears app                          # http://127.0.0.1:7860
python3 -m bears app --model my_export.pkl    # any model that train.py exported
python3 -m bears app --share                  # with a public link, valid for a week
python3 -m bears app --mcp                    # also as a tool for AI assistants
"""

import os
import sys
import time
from argparse import Namespace

from bears.app import FEEDBACK
from bears.cli import STOP_SIGNALS, add_model, begin, command_parser, end_in_order, no_page, prepare_gradio, root_path


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("app", __doc__)
    add_model(parser, strictness=True)  # --model, --trust-model, --strictness
    parser.add_argument("--share", action="store_true", help="also print a public link, valid for a week")
    proxy = "address that visitors open if the app is behind a proxy: https://bears.example, or only the path /bears"
    parser.add_argument("--root-path", type=root_path, default=os.getenv("GRADIO_ROOT_PATH"), help=proxy)
    parser.add_argument("--mcp", action="store_true", help="also answer AI assistants (MCP)")
    parser.add_argument("--feedback", **FEEDBACK)
    host = os.getenv("GRADIO_SERVER_NAME") or "127.0.0.1"
    parser.add_argument("--host", default=host, help=f"address to listen on (default: {host}; all networks: 0.0.0.0)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    begin(parse_args)

prepare_gradio()

import gradio as gr
from bears import static_site
from bears.app.feedback import create_feedback
from bears.app.front_end import CAMERA, LOOK, PHOTO
from bears.app.guard import protected
from bears.app.hosting import check_address, end_page, satisfy_zerogpu, share
from bears.app.index import begin_with
from bears.app.page_data import FirstAnswer, with_animals
from bears.app.process import LearnerProcess
from bears.app.uploads import only_uploads, received
from bears.errors import ExportError, PhotoError
from bears.model import wording
from bears.model.metadata import read_facts


def create_demo(model, trust=False, strictness=1.0, place=None):
    """Return the app for the model file `model`, as a `gr.Blocks`.

    If `trust` is true, also open a model that can run code. `place` is the folder or data set for feedback, or None.
    """
    facts, offline = read_facts(model), static_site.megabytes(model.absolute())
    says, words = wording.invitation(facts), wording.photo_words(facts, strictness, offline)
    examples = [(str(f), wording.example_name(f, facts)) for f in wording.find_examples(model, facts)]
    gr.set_static_paths([f for f, _ in examples])
    begin_with(says, examples[0][0] if examples else None)
    feedback = create_feedback(place, model, facts)
    learn = LearnerProcess(model, trust, strictness)  # like the lesson's `load_learner`, but in another process

    def ask(photo, explain=True):
        try:
            return learn.predict(received(photo or {}), explain)
        except (PhotoError, ExportError) as e:
            raise gr.Error(str(e), duration=None, print_exception=False) from None

    def predict(photo):
        """Classify a photo. The answer can also be “none of the classes” or “not sure”.

        Args:
            photo: A JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC, as `data:image/jpeg;base64,...`, not a web address.

        Returns: The probability of each class, the verdict in words, the photo with a heatmap, and the kind of answer.
        The kind is `sure`, `group` (one of several similar classes), `unsure`, or `none`.
        """
        start = time.monotonic()
        probs, certainty, heatmap, limits, animals = ask(photo)
        verdict, each = wording.headline(probs, certainty, facts, limits), wording.name_each(animals, facts, limits)
        print(wording.log_line(verdict, start), flush=True)
        return (wording.shown_probs(probs, certainty, limits), each), verdict, heatmap, certainty

    def classify_frame(photo):
        """Classify one camera frame. Several frames arrive each second, so skip the heatmap and the log line."""
        probs, certainty, _, limits, _ = ask(photo, explain=False)
        return wording.frame_answer(probs, certainty, facts, limits)

    predict.__name__ = f"identify_{facts.get('subject') or 'photo'}"  # the name that AI assistants see
    with gr.Blocks(title=wording.page_title(facts)) as demo:
        gr.Markdown(wording.heading(facts, offline), elem_id="title")
        with gr.Tab("Photo"):
            gr.HTML(**PHOTO, examples=examples, **words, feedback=feedback.words())
        with gr.Tab("Camera"):
            gr.HTML(**CAMERA, **wording.camera_words(facts))
        gr.Markdown(wording.about(facts, feedback.privacy(), offline), elem_id="about")
        with gr.Row(visible=False):  # hidden: the events of these components define the API that both tabs call
            photo = only_uploads(gr.Image(label="Photo", type="filepath"))
            label, verdict = with_animals(gr.Label(label="Probabilities")), gr.Textbox(label="Verdict")
            cam, certainty = gr.Image(label="Where it looked", format="jpeg"), gr.Textbox(label="Certainty")
            answer, seen = [label, verdict, cam, certainty], gr.JSON()
        photo.change(predict, photo, answer, api_name="predict", api_description=says, preprocess=False)
        photo.upload(classify_frame, photo, seen, api_visibility="undocumented", preprocess=False)  # /classify_frame
        feedback.offer(learn, photo)
    demo.queue(max_size=64, api_open=False, default_concurrency_limit=32)
    demo.learn, demo.feedback, demo.first = learn, feedback, FirstAnswer(learn, examples, facts)
    return demo


def serve(demo, args):
    """Start the server, then load the model. Photos wait until the model is loaded. Raises `ExportError`."""
    end_in_order(STOP_SIGNALS)
    demo.learn.start()
    try:
        launch(demo, check_address(args.host, args.port or 0), args)
    except OSError as e:
        sys.exit(f"app.py: {no_page(e)}")
    print(f"The app is at {demo.local_url}", flush=True)
    demo.learn.load()
    print("The model is ready.", flush=True)
    if args.share:
        print(share(demo), flush=True)
    while True:  # until a signal ends this loop; if another thread gets the signal, this one reacts after its sleep
        time.sleep(1)


def launch(demo, host, args):
    """Start Gradio's server and return at once."""
    if args.mcp:
        from bears.app import assistant  # noqa: F401 - changes what Gradio tells assistants
    demo.launch(server_port=args.port, mcp_server=args.mcp, **LOOK, **protected(demo, host, args.share, args.root_path))


args = parse_args(None if __name__ == "__main__" else [])  # use the defaults when this module is imported
gpu = satisfy_zerogpu()  # ZeroGPU Spaces only run an app that has a GPU function
try:
    trust = args.trust_model or os.getenv("TRUST_MODEL") == "1"  # `deploy --trust-model` sets it
    demo = create_demo(args.model, trust, args.strictness, args.feedback)
except OSError as e:  # Gradio copies the examples to its own folder, which may fail
    sys.exit(f"app.py: {no_page(e)}")

if __name__ == "__main__":
    try:
        serve(demo, args)
    except ExportError as e:
        sys.exit(wording.printable(f"app.py: {e}"))
    except KeyboardInterrupt:
        end_page(demo)
