"""Accept photos only as uploads, and delete them after an hour.

If the app accepted other inputs, a caller of the API could make it open any image on this machine, a long `data:`
address, or a web address. AI assistants (MCP) may send photos as `data:` addresses, which Gradio saves as uploads. The
module bears/model/photo.py limits the number of pixels.
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
from bears.model.photo import HINT, begins_a_photo
from bears.private_photos import delete_abandoned, private_folders
from gradio import utils
from starlette.formparsers import MultiPartException

MAX_FILE_SIZE = 25 * 2**20  # bytes of one photo
MAX_HELD = 4 * 2**30  # bytes of all photos together
RESERVE = 200 * 2**20  # bytes of the disk that stay free for other programs
AGE = 3600  # seconds after which a file is deleted
HASTE = 60  # seconds for which a file is kept even if there is little space
PERIOD = 5  # seconds between two sweeps
LEAST = 2**16  # count a smaller file as this many bytes, since each file makes a sweep slower

NO_ROOM = "The server has no space for more photos. Please try again in a minute."
NO_PHOTO = f"This file is not a photo that can be opened here. {HINT}"


class Store:
    """Limit the size of the folder where Gradio keeps photos and heatmaps, and delete old files from it.

    `listed` are the sets in which Gradio remembers the paths of all files. `sweep` removes deleted files from `listed`.
    """

    def __init__(self, folder, listed=()):
        self.folder, self.listed, self.held = Path(folder), listed, 0

    def files(self):
        """Return a pair (path, `os.stat` result) for each file, oldest first."""
        return sorted(files_in(self.folder), key=lambda pair: pair[1].st_mtime)

    def others(self):
        """Return how many bytes your other running apps' photos take. Delete the photos of apps that were killed."""
        parent = self.folder.parent
        delete_abandoned(parent)
        others = [folder for folder in private_folders(parent) if folder != str(self.folder)]
        return sum(max(LEAST, stat.st_size) for folder in others for _, stat in files_in(folder))

    def take(self, size):
        """Reserve `size` bytes for a file, and return whether the folder and the disk have space for them."""
        self.held += size
        return self.held <= MAX_HELD and shutil.disk_usage(self.folder).free >= size + RESERVE

    def sweep(self):
        """Delete files older than an hour.

        While more than half of the space is used, also delete the oldest file, unless it is less than a minute old.
        """
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
                        os.rmdir(parent)  # the folder of the upload, if it is empty now
        self.held = held
        for paths in self.listed:
            paths.difference_update([path for path in list(paths) if not os.path.exists(path)])

    def keep_sweeping(self):
        """Start a thread that calls `sweep` every few seconds."""

        def work():
            while True:
                time.sleep(PERIOD)
                with contextlib.suppress(OSError):  # the folder is deleted when the program ends
                    self.sweep()

        threading.Thread(target=work, daemon=True).start()


def files_in(folder):
    """Yield a pair (path, `os.stat` result) for each file in a folder and its subfolders."""
    for path, _, names in os.walk(folder):
        for file in (os.path.join(path, name) for name in names):
            with contextlib.suppress(OSError):  # deleted meanwhile
                yield file, os.stat(file)


class PhotoParser(UploadParser):
    """Parse an upload like Gradio, but accept only photos. If anything fails, delete the files of the upload."""

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
        except BaseException:  # also if the client hangs up or the disk is full
            for file in self.files():
                with contextlib.suppress(OSError):  # closing may write the rest, which can fail again
                    file.close()
                Path(file.name).unlink(missing_ok=True)
            raise


def received(photo: dict) -> str:
    """Return the path of an uploaded photo from Gradio's `ImageData`.

    Raises `gr.Error` if the path is not in the upload folder, or if the disk is almost full.
    """
    path, folder = photo.get("path") or "", os.path.realpath(utils.get_upload_folder())
    if shutil.disk_usage(folder).free < RESERVE / 2:  # the heatmap needs space in this folder
        raise gr.Error(NO_ROOM, print_exception=False)
    with contextlib.suppress(OSError, ValueError):  # not a valid path
        if utils.is_in_or_equal(os.path.realpath(path), folder):
            return path
    raise gr.Error("Please upload the photo itself. Links and other files are not opened.", print_exception=False)


def only_uploads(component: gr.Image) -> gr.Image:
    """Make the API's documentation show an upload as the input, not the web address that Gradio shows."""
    info = {**component.api_info(), "additional_description": "A file with a photo; web addresses are not opened."}
    component.api_info = lambda: info
    component.example_payload = lambda: {"path": "photo.jpg", "meta": {"_type": "gradio.FileData"}}
    return component


async def refuse_links(url, cache_dir):
    """Replace Gradio's download of photos from web addresses, and raise `gr.Error` instead.

    If `url` is the address of a photo that was uploaded to this server, as MCP clients send it, return the photo's
    path.
    """
    _, route, path = url.partition("/gradio_api/file=")
    if route:
        return received({"path": unquote(path)})
    raise gr.Error("Please upload the photo itself. Links are not opened.", print_exception=False)


download_with(refuse_links)
parse_uploads_with(PhotoParser)
