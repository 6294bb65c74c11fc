"""Photos come in as uploads and in no other way: Gradio by itself opens what a caller of its API names.

That is any picture on this machine by its path, `data:` addresses of any length, and whatever the web has.
How many pixels a photo may have is in bears/model/photo.py.
The `data:` addresses of AI assistants (MCP) become uploads before they come here.
"""

import contextlib
import os
import shutil
import threading
import time
from pathlib import Path
from urllib.parse import unquote

import gradio as gr
from bears.app.gradio_internals import UploadParser, download_with, parse_uploads_with
from bears.cli import delete_abandoned, private_folders
from bears.model.photo import HINT, begins_a_photo
from gradio import utils
from starlette.formparsers import MultiPartException

MAX_FILE_SIZE = 25 * 2**20  # bytes of one photo, whether the page or a program sends it
MAX_HELD = 4 * 2**30  # bytes of all files together
RESERVE = 200 * 2**20  # bytes of the disk that stay free for whatever else runs here
AGE = 3600  # seconds that a file is kept
HASTE = 60  # seconds that it is kept at least, when there is little room
PERIOD = 5  # seconds between two sweeps
LEAST = 2**16  # bytes that a file counts for at least: the time that a sweep takes goes by their number

NO_ROOM = "The server has no space for more photos. Please try again in a minute."
NO_PHOTO = f"This file is not a photo that can be opened here. {HINT}"


class Store:
    """The folder in which Gradio keeps photos and heat maps."""

    def __init__(self, folder, listed=()):
        """`listed` are Gradio's own sets of the paths in it, which grow for ever by themselves."""
        self.folder, self.listed, self.held = Path(folder), listed, 0

    def files(self):
        """Return pairs of path and `stat`, oldest first."""
        return sorted(files_in(self.folder), key=lambda pair: pair[1].st_mtime)

    def others(self):
        """How many bytes the photos of other apps of this user count for, once those of killed ones are deleted."""
        parent = self.folder.parent
        delete_abandoned(parent)
        others = [folder for folder in private_folders(parent) if folder != str(self.folder)]
        return sum(max(LEAST, stat.st_size) for folder in others for _, stat in files_in(folder))

    def take(self, size):
        """Count so many bytes that are about to be written; return whether they fit."""
        self.held += size
        return self.held <= MAX_HELD and shutil.disk_usage(self.folder).free >= size + RESERVE

    def sweep(self):
        """Delete old files; when half of the space is used, also the oldest of the younger ones."""
        files, now = self.files(), time.time()
        held = sum(max(LEAST, stat.st_size) for _, stat in files) + self.others()
        room = min(MAX_HELD, held + shutil.disk_usage(self.folder).free - RESERVE)
        for file, stat in files:
            age = now - stat.st_mtime
            if age > AGE or (age > HASTE and held > room / 2):
                with contextlib.suppress(OSError):
                    os.remove(file)
                    held -= max(LEAST, stat.st_size)
                    if (parent := os.path.dirname(file)) != str(self.folder):
                        os.rmdir(parent)  # each upload has a folder, which stays while others lie in it
        self.held = held
        for paths in self.listed:
            paths.difference_update([path for path in list(paths) if not os.path.exists(path)])

    def keep_sweeping(self):
        """Sweep from now on, in a thread."""

        def work():
            while True:
                time.sleep(PERIOD)
                with contextlib.suppress(OSError):  # the folder is gone, since the program ends
                    self.sweep()

        threading.Thread(target=work, daemon=True).start()


def files_in(folder):
    """Yield pairs of path and `stat` of all files in a folder."""
    for path, _, names in os.walk(folder):
        for file in (os.path.join(path, name) for name in names):
            with contextlib.suppress(OSError):  # gone meanwhile
                yield file, os.stat(file)


class PhotoParser(UploadParser):
    """Gradio's parser of an upload, which takes in nothing but photos, and leaves nothing behind when it fails."""

    def on_headers_finished(self):
        super().on_headers_finished()
        self.begin = b""
        if not self.is_at_a_file():
            raise MultiPartException("Please send photos as files.")

    def on_part_data(self, data, start, end):
        if len(self.begin) < 16:
            self.begin += data[start : min(end, start + 16)]
            self.check(enough=16)
        super().on_part_data(data, start, end)

    def on_part_end(self):
        self.check(enough=0)
        super().on_part_end()

    def check(self, enough):
        if len(self.begin) >= enough and not begins_a_photo(self.begin):
            raise MultiPartException(NO_PHOTO)

    async def parse(self):
        try:
            return await super().parse()
        except BaseException:  # also of a client that hangs up, and of a full disk
            for file in self.files():
                with contextlib.suppress(OSError):  # what was not yet written
                    file.close()
                Path(file.name).unlink(missing_ok=True)
            raise


def received(photo: dict) -> str:
    """Return the path of an uploaded photo, from Gradio's `ImageData`; refuses everything that is not an upload."""
    path, folder = photo.get("path") or "", os.path.realpath(utils.get_upload_folder())
    if shutil.disk_usage(folder).free < RESERVE / 2:  # the heat map will be written there
        raise gr.Error(NO_ROOM, print_exception=False)
    with contextlib.suppress(OSError, ValueError):  # a path that no file can have
        if utils.is_in_or_equal(os.path.realpath(path), folder):
            return path
    raise gr.Error("Please upload the photo itself. Links and other files are not opened.", print_exception=False)


def only_uploads(component: gr.Image) -> gr.Image:
    """Let the page of the API describe this input as `received` takes it: Gradio's own example is a link."""
    info = {**component.api_info(), "additional_description": "A file with a photo; web addresses are not opened."}
    component.api_info = lambda: info
    component.example_payload = lambda: {"path": "photo.jpg", "meta": {"_type": "gradio.FileData"}}
    return component


async def refuse_links(url, cache_dir):
    """Takes the place of Gradio's download of any web address that an API caller sends as a photo.

    MCP clients name what they have uploaded here by its address, which is the path of the upload once more.
    """
    _, route, path = url.partition("/gradio_api/file=")
    if route:
        return received({"path": unquote(path)})
    raise gr.Error("Please upload the photo itself. Links are not opened.", print_exception=False)


download_with(refuse_links)
parse_uploads_with(PhotoParser)
