"""Send what the page asks for in addition to Gradio's API: the answer that it shows first, and how many photos wait."""

import asyncio

from bears.app.gradio_internals import place_of, queue_of
from bears.errors import ExportError, PhotoError
from bears.model.photo import as_address
from bears.web.first import answer_first
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class FirstAnswer:
    """The answer that the page shows first; the model is asked when the first visitor comes, and once."""

    def __init__(self, learn, examples: list[tuple[str, str]], facts: dict) -> None:
        self.learn, self.examples, self.facts = learn, [(file, file) for file, _ in examples], facts
        self.answer: asyncio.Task | None = None

    async def send(self, request: Request) -> Response:
        """Send the answer when it is there, or nothing where there is none."""
        if self.answer is None or (self.answer.done() and not self.answer.result()):
            self.answer = asyncio.create_task(asyncio.to_thread(self.ask))
        answer = await asyncio.shield(self.answer)
        return JSONResponse(answer) if answer else Response(status_code=204)

    def ask(self) -> dict:
        try:
            answer = answer_first(self.learn.predict, self.examples, self.facts)
        except (PhotoError, ExportError):
            return {}  # somebody's own photo will say why
        if answer.get("map"):
            answer["map"] = as_address(answer["map"])
        return answer


async def send_place(request: Request) -> JSONResponse:
    """Send how many questions came before this one and have no answer yet."""
    return JSONResponse(place_of(queue_of(request.app.get_blocks()), request.path_params["event"]))


def routes(first: FirstAnswer) -> list[Route]:
    """Return the routes, in a folder that bears/app/guard.py knows."""
    return [Route("/web/first", first.send), Route("/web/place/{event}", send_place)]
