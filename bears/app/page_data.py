"""Send data that Gradio doesn't send: places in the queue, a verdict for each animal, and the first answer.

The first answer is about an example. The page shows this answer when it opens, before a visitor has sent a photo.
"""

import asyncio

import gradio as gr
from bears.app.gradio_internals import place_of, queue_of
from bears.errors import ExportError, PhotoError
from bears.model.photo import as_address
from bears.web.first import answer_first
from gradio.components.label import LabelData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class WithAnimals(LabelData):
    """Hold the value of a gr.Label, and a verdict for each animal if a photo shows several."""

    animals: list[dict] | None = None


def with_animals(label: gr.Label) -> gr.Label:
    """Make a gr.Label accept a pair (probabilities, animals) as its value. Return the gr.Label."""
    send = label.postprocess
    label.data_model = WithAnimals
    label.postprocess = lambda pair: WithAnimals(**send(pair[0]).model_dump(), animals=pair[1])
    return label


class FirstAnswer:
    """Send the answer about an example that the page shows first. The model gives it once, for all visitors."""

    def __init__(self, learn, examples: list[tuple[str, str]], facts: dict) -> None:
        self.learn, self.examples, self.facts = learn, [(file, file) for file, _ in examples], facts
        self.answer: asyncio.Task | None = None

    async def send(self, request: Request) -> Response:
        """Send the answer as soon as it is known, or status 204 if there is none."""
        if self.answer is None or (self.answer.done() and not self.answer.result()):
            self.answer = asyncio.create_task(asyncio.to_thread(self.ask))
        answer = await asyncio.shield(self.answer)
        return JSONResponse(answer) if answer else Response(status_code=204)

    def ask(self) -> dict:
        try:
            answer = answer_first(self.learn.predict, self.examples, self.facts)
        except (PhotoError, ExportError):
            return {}  # visitors see the error when they send a photo
        if answer.get("map"):
            answer["map"] = as_address(answer["map"])
        return answer


async def send_place(request: Request) -> JSONResponse:
    """Send a call's place in the queue: how many calls are before it. The path ends with the call's event id."""
    return JSONResponse(place_of(queue_of(request.app.get_blocks()), request.path_params["event"]))


def routes(first: FirstAnswer) -> list[Route]:
    """Return the routes /web/first and /web/place, which bears/app/guard.py allows like all paths below /web/."""
    return [Route("/web/first", first.send), Route("/web/place/{event}", send_place)]
