"""Find animals in a photo: boxes of a small network that learnt from photos of trail cameras.

The network is MegadetectorLite, which DrivenData distilled from MegaDetector (YOLOX-tiny, 5 million parameters, one
class: animal). bears/model/detector.md says where it comes from; benchmarks/export_detector.py has made the file.
"""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import torch
from bears.errors import DetectorError
from joblib import cpu_count
from PIL import Image
from torchvision.ops import nms

FILE = Path(__file__).with_name("detector.onnx.gz")
SHA256 = "9d3a39c1a321dbc4babfac0535a1d86395854fe2c889d28ee9801f1ae4a2e329"
CELL = 32  # pixels: the sides of what the network is shown are multiples of it
SIDE = 640  # pixels that the longer side has, as in the network's training
MIN_CONF = 0.2  # of a box that counts
OVERLAP = 0.45  # of two boxes, intersection over union: beyond that they show the same animal
THREADS = max(1, cpu_count() // 2)  # the model has the others


class Detector:
    """Finds animals in photos; safe from any number of threads. Raises `DetectorError` when it cannot be opened."""

    def __init__(self, file: Path = FILE) -> None:
        import onnxruntime  # not above: it takes a while, and most commands never need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = THREADS, 3
        options.enable_cpu_mem_arena = False  # which would keep the memory of the largest photo
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait leave the cores
        self.session = onnxruntime.InferenceSession(read(file), options, providers=["CPUExecutionProvider"])

    def find_animals(self, photo: Image.Image, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (animals, 4) in pixels of an RGB photo: left, top, right, bottom; their scores (animals,), best first.

        `side` is how many pixels the longer side has that the network is shown.
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
    """Return the network as ONNX, if the file is the one that belongs here."""
    try:
        data = file.read_bytes()
    except OSError as e:
        raise DetectorError(f"{file} cannot be read ({e.strerror}): copy it again from the repository.") from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DetectorError(f"{file} is damaged, or of another version: copy it again from the repository.")
    return gzip.decompress(data)
