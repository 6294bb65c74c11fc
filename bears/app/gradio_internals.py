"""Use what Gradio does not promise to keep: its queue, downloads, uploads and tunnels, each in a function of its own.

The rest is in bears/app/index.py (the start of its page), bears/app/assistant.py (MCP) and bears/web/theme.py.
tests/test_private_names.py says which of these names a new version of Gradio no longer has.
"""

from collections.abc import Callable

from gradio import networking, processing_utils, route_utils, tunneling
from gradio.context import LocalContext
from gradio.routes import file_upload_statuses


def queue_of(blocks):
    """Return the queue of a page, since only that knows who waits for an answer."""
    return blocks._queue


def unanswered(queue):
    """Return the events of Gradio's queue that have not been answered yet, since its length leaves some out."""
    waiting = queue.pending_event_ids_session
    events = list(queue.event_ids_to_events.values())
    return [event for event in events if event._id in waiting.get(event.session_hash, ())]


def place_of(queue, name):
    """Return how many events came before the one with that name and have not been answered yet."""
    names = [event._id for event in unanswered(queue)]
    return names.index(name) if name in names else 0


def has_event(queue, name):
    """Return whether somebody waits for such an event, which Gradio tells its own routes only."""
    return any(name in events for events in list(queue.pending_event_ids_session.values()))


def has_sessions(queue, names):
    """Return whether sessions with these names have joined the queue, which Gradio tells its own routes only."""
    return set(names) <= queue.pending_messages_per_session.keys()


def function_number(fn):
    """Return the number by which a client asks for a function of the page, since not every client asks by name."""
    return fn._id


def forget(queue, most):
    """Drop what Gradio remembers for ever: all but `most` sessions without an event, and how far each upload is."""
    for session in list(queue.pending_event_ids_session)[:-most]:
        if not queue.pending_event_ids_session[session]:
            del queue.pending_event_ids_session[session]
    for kept in (file_upload_statuses._signals, file_upload_statuses._statuses):
        for upload in list(kept)[:-most]:
            kept.pop(upload, None)


def find_caller():
    """Return a function that says whether the client of the event that Gradio is answering has hung up.

    Gradio tells only its own queue. A client that asks without the queue, or has never listened for its answer, counts
    as waiting.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = queue_of(blocks).event_ids_to_events.get(event_id) if blocks else None
    return lambda: event is not None and not event.alive


class UploadParser(route_utils.GradioMultiPartParser):
    """Gradio's parser of an upload, which also tells a subclass what it is at and which files it has written."""

    def is_at_a_file(self):
        return self._current_part.file is not None

    def files(self):
        return self._files_to_close_on_error


def parse_uploads_with(parser: type[UploadParser]) -> None:
    """Replace Gradio's parser, since it has no option for what kind of files it takes."""
    route_utils.GradioMultiPartParser = parser


def download_with(download: Callable) -> None:
    """Replace Gradio's download of the address that a client sends as a photo, since it has no switch."""
    processing_utils.async_ssrf_protected_download = download


def open_tunnel(demo):
    """Return the public address of a launched page: `launch(share=True)` does not raise when there is none."""
    return networking.setup_tunnel(demo.server_name, demo.server_port, demo.share_token, None, None)


def close_tunnels():
    """End the programs of all tunnels: Gradio does so only when Python ends by itself."""
    for tunnel in tunneling.CURRENT_TUNNELS:
        tunnel.kill()


def tunnel_program():
    """Return where the program of a tunnel is on this machine, and its web address, for who has to fetch it."""
    return tunneling.BINARY_PATH, tunneling.BINARY_URL
