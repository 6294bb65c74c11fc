"""Serve the review page. The browser gets a list of photos, requests each photo, and sends your decisions.

The script page.js shows each decision before it is saved, so you needn't wait between two keys. The script sends the
photo's name with each decision, so that a decision is never saved for another photo.
"""

from pathlib import Path
from typing import Literal

import gradio as gr
from bears.clean.guard import Guard
from bears.errors import DataError, PhotoError
from bears.model.photo import as_jpeg, open_photo
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

TITLE = "Which photos are wrong?"
SIDES = {"small": 180, "large": 480}  # the shorter side of a photo of this size has at least this many pixels
HTML, CSS, JS = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))


class Step(BaseModel):
    """Hold a decision about the photo `name`, a path `class/file`. `goal` is the class to move the photo to."""

    action: Literal["keep", "move", "set aside", "undo"]
    name: str
    goal: str = ""


STEPS = TypeAdapter(list[Step])


class Review:
    """Hold the photos to review, in the order of `rank_folder`. Skip photos that already have a decision.

    While the photos are being scored, `ranking` is None. `read` has two numbers: how many photos were read so far, and
    how many there are. `train_command` is the command to show when all photos are reviewed.
    """

    def __init__(self, decisions, ranking=None, train_command=""):
        self.decisions = decisions
        self.ranking = ranking
        self.train_command = train_command
        self.read = 0, 0

    def note(self, *read):
        self.read = read

    def waiting(self, label):
        """Return the photos of a class that have no decision yet, the likeliest mistakes first."""
        seen = {step["to"] for step in self.decisions.steps()}
        return [s for s in self.ranking[label] if s.name not in seen and (self.decisions.folder / s.name).is_file()]

    def state(self):
        """Return everything that page.js shows, as a dict for JSON."""
        if self.ranking is None:
            return {"read": self.read}
        return {
            "folder": str(self.decisions.log.parent),
            "labels": list(self.ranking),
            "photos": [describe(photo) for label in self.ranking for photo in self.waiting(label)],
            "train": self.train_command,
            "steps": [step["from"] for step in self.decisions.steps()],
        }

    def has(self, name):
        return any(photo.name == name for ranked in (self.ranking or {}).values() for photo in ranked)

    def take(self, step):
        """Carry out a `Step` and log it. Raises `DataError` if the step isn't possible."""
        if step.action == "undo":
            if not self.decisions.undo(step.name):
                raise DataError(f"Nothing to undo for {step.name}: it has already been undone.")
        elif not self.has(step.name) or (step.action == "move" and step.goal not in self.ranking):
            raise DataError(f"{step.name} is not a photo of this page. Reload the page.")
        else:
            goal = [step.goal] if step.action == "move" else []
            getattr(self.decisions, step.action.replace(" ", "_"))(step.name, *goal)


def describe(photo):
    """Return a `RankedPhoto` as a dict for page.js."""
    action, goal = photo.suggestion
    own = {"name": photo.name, "label": photo.label, "opinion": photo.opinion, "nearDuplicate": photo.near_duplicate}
    return {**own, "group": photo.group, "action": action, "goal": goal}


# Routes for page.js


def create_routes(review):
    def state(request):
        return JSONResponse(review.state())

    def photo(request):
        name, side = request.query_params.get("name", ""), SIDES.get(request.query_params.get("size"), 180)
        try:
            if review.has(name):
                return Response(as_jpeg(open_photo(review.decisions.folder / name, side), 90), media_type="image/jpeg")
        except (PhotoError, OSError):
            pass
        return PlainTextResponse("This photo is no longer there, or can't be opened.", 404)

    async def decide(request):
        if request.headers.get("content-type") != "application/json":  # browsers don't let other websites send JSON
            return PlainTextResponse("Please send steps as application/json.", 415)
        try:
            steps = STEPS.validate_json(await request.body())
        except ValidationError:
            return PlainTextResponse("These are not valid steps.", 422)
        return JSONResponse(await run_in_threadpool(take_all, steps))

    def take_all(steps):
        refused = []
        for step in steps:
            try:
                review.take(step)
            except DataError as e:
                refused.append(str(e))
        return refused

    return [Route("/review", state), Route("/photo", photo), Route("/decide", decide, methods=["POST"])]


def create_page(review):
    """Return the `gr.Blocks` of the review page, and keyword arguments for its `launch`."""
    with gr.Blocks(title=TITLE) as page:
        gr.HTML(html_template=HTML, js_on_load=JS, apply_default_css=False)
    return page, {"css": CSS, "app_kwargs": {"routes": create_routes(review), "middleware": [Middleware(Guard)]}}
