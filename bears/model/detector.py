"""Find animals in a photo with a small network that was trained on photos from trail cameras.

The network is MegadetectorLite, a YOLOX-tiny with 5 million parameters and one class, animal. DrivenData distilled it
from MegaDetector. The network's source and licence are in bears/model/detector.md. The script
benchmarks/export_detector.py wrote the ONNX file.
"""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import torch
from bears.errors import DetectorError
from bears.model.runtime import THREADS, open_network
from PIL import Image
from torchvision.ops import nms

FILE = Path(__file__).with_name("detector.onnx.gz")
SHA256 = "9d3a39c1a321dbc4babfac0535a1d86395854fe2c889d28ee9801f1ae4a2e329"
CELL = 32  # pixels; both sides of the network's input are multiples of this
SIDE = 640  # pixels of the input's longer side, as in the network's training
MIN_CONF = 0.2  # boxes with a lower score are dropped
OVERLAP = 0.45  # intersection over union; boxes that overlap more than this show the same animal


class Detector:
    """Find animals in photos, from any number of threads. Raises `DetectorError` if the network can't be opened."""

    def __init__(self, file: Path = FILE, threads: int = THREADS) -> None:
        self.session = open_network(read(file), threads)

    def find_animals(self, photo: Image.Image, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes of the animals in an RGB photo, and their scores from 0 to 1, best first.

        Boxes have the shape (animals, 4): left, top, right, bottom in pixels of the photo. Scores have the shape
        (animals,). For the network, the photo is resized to a longer side of about `side` pixels.
        """
        width, height = (max(2, round(n * side / max(photo.size) / CELL)) * CELL for n in photo.size)
        pixels = np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR), np.float32)
        blue_first = np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1))
        [[found]] = self.session.run(None, {"photo": blue_first[None]})
        found = torch.from_numpy(found[found[:, 4] > MIN_CONF])
        found = found[nms(found[:, :4], found[:, 4], OVERLAP)].numpy()
        limits = np.tile(photo.size, 2)
        boxes = found[:, :4] * limits / (width, height, width, height)
        return boxes.clip(0, limits), found[:, 4]


def read(file: Path) -> bytes:
    """Return the network as ONNX bytes. Raises `DetectorError` if the file is missing, or has another SHA-256."""
    try:
        data = file.read_bytes()
    except OSError as e:
        raise DetectorError(f"{file} can't be read ({e.strerror}). Copy it again from the repository.") from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DetectorError(f"{file} is damaged or from another version. Copy it again from the repository.")
    return gzip.decompress(data)
