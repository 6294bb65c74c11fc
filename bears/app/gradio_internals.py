"""Wrap private names of Gradio (queue, downloads, uploads, tunnels) that a new version may change.

bears/app/index.py (the HTML), bears/app/assistant.py (MCP) and bears/web/theme.py use the others.
tests/test_private_names.py fails when a version of Gradio lacks one of them.
"""

from collections.abc import Callable

from gradio import networking, processing_utils, route_utils, tunneling
from gradio.context import LocalContext
from gradio.routes import file_upload_statuses


def queue_of(blocks):
    """Return the queue of a `gr.Blocks`. Only the queue knows who is waiting for an answer."""
    return blocks._queue


def unanswered(queue):
    """Return the events that Gradio's queue has not answered yet, which can be more than the queue's length says."""
    waiting = queue.pending_event_ids_session
    events = list(queue.event_ids_to_events.values())
    return [event for event in events if event._id in waiting.get(event.session_hash, ())]


def place_of(queue, name):
    """Return how many unanswered events came before the event with the id `name`."""
    names = [event._id for event in unanswered(queue)]
    return names.index(name) if name in names else 0


def has_event(queue, name):
    """Return whether somebody is waiting for the event with the id `name`."""
    return any(name in events for events in list(queue.pending_event_ids_session.values()))


def has_sessions(queue, names):
    """Return whether sessions with these names have joined the queue."""
    return set(names) <= queue.pending_messages_per_session.keys()


def function_number(fn):
    """Return the number of an API function, since some clients call functions by number and not by name."""
    return fn._id


def forget(queue, most):
    """Drop data that Gradio would keep forever: old sessions without an event, and the progress of old uploads.

    The latest `most` of each are kept.
    """
    for session in list(queue.pending_event_ids_session)[:-most]:
        if not queue.pending_event_ids_session[session]:
            del queue.pending_event_ids_session[session]
    for kept in (file_upload_statuses._signals, file_upload_statuses._statuses):
        for upload in list(kept)[:-most]:
            kept.pop(upload, None)


def find_caller():
    """Return a function that says whether the client of the current event has hung up.

    Gradio only tells its own queue. A client that calls without the queue, or never listens for its answer, counts as
    waiting.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = queue_of(blocks).event_ids_to_events.get(event_id) if blocks else None
    return lambda: event is not None and not event.alive


class UploadParser(route_utils.GradioMultiPartParser):
    """Extend Gradio's parser of uploads. Subclasses see whether it is inside a file, and which files it has written."""

    def is_at_a_file(self):
        return self._current_part.file is not None

    def files(self):
        return self._files_to_close_on_error


def parse_uploads_with(parser: type[UploadParser]) -> None:
    """Replace Gradio's parser of uploads, since that parser can't reject files by their kind."""
    route_utils.GradioMultiPartParser = parser


def download_with(download: Callable) -> None:
    """Replace Gradio's download of web addresses that clients send as photos, since it can't be switched off."""
    processing_utils.async_ssrf_protected_download = download


def open_tunnel(demo):
    """Open a tunnel to a launched app and return its public address. Unlike `launch(share=True)`, it raises errors."""
    return networking.setup_tunnel(demo.server_name, demo.server_port, demo.share_token, None, None)


def close_tunnels():
    """End the programs of all tunnels. Gradio only does so when Python exits normally."""
    for tunnel in tunneling.CURRENT_TUNNELS:
        tunnel.kill()


def tunnel_program():
    """Return the path of the tunnel's program on this machine, and the address from which it can be downloaded."""
    return tunneling.BINARY_PATH, tunneling.BINARY_URL
