"""Use private names of Gradio (queue, downloads, uploads, tunnels), which a new version may change.

Other private names of Gradio are in bears/app/index.py (HTML), bears/app/assistant.py (MCP), bears/web/theme.py and
bears/cli.py (start).
tests/test_private_names.py fails if a version of Gradio lacks one of these private names.
"""

from collections.abc import Callable

from gradio import networking, processing_utils, route_utils, tunneling
from gradio.context import LocalContext
from gradio.routes import file_upload_statuses


def queue_of(blocks):
    """Return the queue of a `gr.Blocks`. Only the queue knows who is waiting for an answer."""
    return blocks._queue


def unanswered(queue):
    """Return the events that Gradio's queue hasn't answered yet. `len(queue)` doesn't count events that are running."""
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
    """Return whether all sessions in `names` have joined the queue."""
    return set(names) <= queue.pending_messages_per_session.keys()


def function_number(fn):
    """Return Gradio's number of an API function, since some clients call functions by number and not by name."""
    return fn._id


def forget(queue, most):
    """Delete data that Gradio would keep forever: old sessions without an event, and the progress of old uploads.

    Keep the newest sessions and uploads, `most` of each.
    """
    for session in list(queue.pending_event_ids_session)[:-most]:
        if not queue.pending_event_ids_session[session]:
            del queue.pending_event_ids_session[session]
    for kept in (file_upload_statuses._signals, file_upload_statuses._statuses):
        for upload in list(kept)[:-most]:
            kept.pop(upload, None)


def find_caller():
    """Return a function without arguments that says whether the client of the current event has hung up.

    For events outside of Gradio's queue, and for clients that never listen for their answer, the function always
    returns False.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = queue_of(blocks).event_ids_to_events.get(event_id) if blocks else None
    return lambda: event is not None and not event.alive


class UploadParser(route_utils.GradioMultiPartParser):
    """Extend Gradio's upload parser: say whether it is inside a file, and which files it has written."""

    def is_at_a_file(self):
        return self._current_part.file is not None

    def files(self):
        return self._files_to_close_on_error


def parse_uploads_with(parser: type[UploadParser]) -> None:
    """Replace Gradio's upload parser, since it can't reject files by their type."""
    route_utils.GradioMultiPartParser = parser


def download_with(download: Callable) -> None:
    """Replace Gradio's download of photos from web addresses, since Gradio has no option against such downloads."""
    processing_utils.async_ssrf_protected_download = download


def open_tunnel(demo):
    """Open Gradio's tunnel to a launched app. Return the public address. Unlike `launch(share=True)`, raise errors."""
    return networking.setup_tunnel(demo.server_name, demo.server_port, demo.share_token, None, None)


def close_tunnels():
    """End the programs of all tunnels. Gradio itself ends its tunnel programs only when Python exits normally."""
    for tunnel in tunneling.CURRENT_TUNNELS:
        tunnel.kill()


def tunnel_program():
    """Return the path of Gradio's tunnel program on this machine, and the web address to download it from."""
    return tunneling.BINARY_PATH, tunneling.BINARY_URL
