"""Does anybody still wait for the answer? Gradio knows, but tells only its own queue."""

from gradio.context import LocalContext


def find_caller():
    """Called while Gradio answers an event: a function without arguments that says whether its client has hung up.

    A client that asks without the queue, or has never listened for its answer, counts as waiting.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(event_id) if blocks else None
    return lambda: event is not None and not event.alive
