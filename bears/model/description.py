"""Describe an export in JSON, so that `open_export` can build the Learner without running a pickle.

A pickle is a program, and no filter makes it safe. An export is the zip file that `torch.save` writes, with a pickle
in it. This module adds JSON to the zip file: the classes, and the names of the backbone, layers and transforms in
torch, torchvision, timm and fastai. For each tensor, the JSON names the record in the zip file that has the tensor's
bytes. The class `Description` says what the JSON may contain.
"""

import io
import math
import zipfile
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
import torch
from bears.errors import BearsError, ExportError
from bears.fastai_internals import set_batch_types
from bears.model.backbone import create_body
from fastai import losses
from fastai.data.core import DataLoaders, Datasets, TfmdDL, TfmdLists
from fastai.data.transforms import Categorize, IntToFloatTensor, Normalize, ToTensor
from fastai.layers import AdaptiveConcatPool2d, Flatten
from fastai.learner import Learner
from fastai.torch_core import TensorCategory, TensorImage
from fastai.vision import augment
from fastai.vision.core import PILImage
from PIL import Image
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator
from torch import nn
from torch.overrides import TorchFunctionMode

ARCHIVE = "archive/"  # torch.save's name for the folder of all records
DESCRIPTION = f"{ARCHIVE}extra/description.json"
MAX_DESCRIPTION = 8_000_000  # bytes; 10,000 classes and 10,000 tensors need a tenth of this
DTYPES = {"float16": "<f2", "float32": "<f4", "int64": "<i8", "bool": "?"}

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Pixels = Annotated[int, Field(ge=1, le=2048)]
Size = tuple[Pixels, Pixels]
Ratio = tuple[Number, Number]
Share = Annotated[float, Field(ge=0, le=1)]
Resamples = tuple[Annotated[int, Field(ge=0, le=5)], Annotated[int, Field(ge=0, le=5)]]
Padding = Literal["zeros", "border", "reflection"]
Mode = Literal["bilinear", "nearest", "bicubic"]
Stats = Annotated[list[Number], Field(min_length=1, max_length=4)]
Groups = Annotated[list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2)]], Field(max_length=5000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]

Parts = dict[Any, dict[str, Any]]  # from the Python class of a transform or layer to its arguments' types by name

# The transforms and layers that an export may contain. Augmentation is missing: prediction doesn't use it.
ITEM_TFMS: Parts = {
    augment.Resize: {
        "size": Size,
        "method": Literal["crop", "pad", "squish"],
        "pad_mode": Padding,
        "resamples": Resamples,
    },
    augment.RandomResizedCrop: {
        "size": Size,
        "min_scale": Share,
        "ratio": Ratio,
        "resamples": Resamples,
        "val_xtra": Share,
        "max_scale": Share,
    },
    augment.RatioResize: {"max_sz": Pixels, "resamples": Resamples},
    augment.CropPad: {"size": Size, "pad_mode": Padding},
    ToTensor: {},
}
BATCH_TFMS: Parts = {
    IntToFloatTensor: {"div": Number, "div_mask": int},
    Normalize: {"mean": Stats, "std": Stats},
    augment.AffineCoordTfm: {
        "size": Pixels | Size,
        "mode": Mode,
        "pad_mode": Padding,
        "align_corners": bool | None,
    },
    augment.RandomResizedCropGPU: {
        "size": Size,
        "min_scale": Share,
        "ratio": Ratio,
        "mode": Mode,
        "valid_scale": Share,
        "max_scale": Share,
    },
}
LAYERS: Parts = {
    nn.AdaptiveAvgPool2d: {"output_size": Count},
    AdaptiveConcatPool2d: {"size": Count},
    Flatten: {"full": bool},
    nn.Flatten: {"start_dim": int, "end_dim": int},
    nn.BatchNorm1d: {"num_features": Count, "eps": Number, "momentum": Number | None, "affine": bool},
    nn.Dropout: {"p": Share, "inplace": bool},
    nn.Linear: {"in_features": Count, "out_features": Count, "bias": bool},
    nn.ReLU: {"inplace": bool},
    nn.Identity: {},
}
LOSSES = ("CrossEntropyLossFlat", "LabelSmoothingCrossEntropy", "LabelSmoothingCrossEntropyFlat", "FocalLossFlat")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def one_of(parts: Parts) -> Any:
    """Return the pydantic type for a list of transforms or layers, each a dict with its `name` and arguments."""
    kinds = [
        create_model(
            cls.__name__, __base__=Strict, name=(Literal[full_name(cls)], ...), **{k: (v, ...) for k, v in args.items()}
        )
        for cls, args in parts.items()
    ]
    return Annotated[list[Annotated[reduce(or_, kinds), Field(discriminator="name")]], Field(max_length=64)]


def full_name(cls: type) -> str:
    """Return the name of a class with its library, such as `fastai.Flatten`, since torch also has a `Flatten`."""
    return f"{cls.__module__.split('.')[0]}.{cls.__name__}"


class Record(Strict):
    """Describe a tensor: the name of the record with its bytes in the zip file, its dtype and its shape."""

    record: Annotated[str, StringConstraints(pattern=r"^data/\d{1,7}$")]
    dtype: Literal[tuple(DTYPES)]
    shape: Annotated[list[Annotated[int, Field(ge=0, le=100_000_000)]], Field(max_length=8)]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * np.dtype(DTYPES[self.dtype]).itemsize


def all_different(names: list[str]) -> list[str]:
    assert len(set(names)) == len(names), "two classes have the same name"
    return names


class Description(Strict):
    """Hold the checked description of an export.

    A description has no temperature, since the calibration has divided the head's weights by the temperature.
    """

    format: Literal[1]
    arch: Name
    vocab: Annotated[list[Name], Field(min_length=1, max_length=10_000), AfterValidator(all_different)]
    item_tfms: one_of(ITEM_TFMS)
    batch_tfms: one_of(BATCH_TFMS)
    head: one_of(LAYERS)
    loss_func: Literal[LOSSES]
    ood: Annotated[dict[Name, int | Number | Groups], Field(max_length=32)] | None
    tensors: Annotated[dict[Name, Record], Field(max_length=20_000)]

    @model_validator(mode="after")
    def check_answers(self) -> "Description":
        """Reject groups that share a class or have an unknown one, and probabilities that aren't between 0 and 1."""
        fitted: dict[str, Any] = dict(self.ood or {})
        groups = fitted.pop("groups", [])
        assert isinstance(groups, list) and list not in map(type, fitted.values()), "only groups are lists"
        members = [i for group in groups for i in group]
        assert len(set(members)) == len(members), "a class is in two groups"
        assert max(members, default=0) < len(self.vocab), "a group has an unknown class"
        assert all(0 <= fitted.get(name, 0) <= 1 for name in ("likely", "earned")), "not a probability"
        return self


# Write a description


class Indescribable(BearsError):
    """Report a Learner that can't be described, for example because of a custom layer."""


def describe(learn: Learner, data: bytes) -> Description:
    """Return the `Description` of a Learner that `for_inference` made. `data` is the zip file with the tensors.

    Raises `Indescribable`.
    """
    dl, fitted, arch = learn.dls.valid, getattr(learn, "ood", None), getattr(learn, "arch", None)
    if not (arch and type(learn.model) is nn.Sequential and len(learn.model) == 2):
        raise Indescribable("a network that vision_learner did not create")
    if (loss := type(learn.loss_func).__name__) not in LOSSES:
        raise Indescribable(f"the loss {loss}")
    description = Description(
        format=1,
        arch=getattr(arch, "__name__", arch),
        vocab=[str(label) for label in learn.dls.vocab],
        item_tfms=[describe_part(tfm, ITEM_TFMS) for tfm in dl.after_item.fs],
        batch_tfms=[describe_part(tfm, BATCH_TFMS) for tfm in dl.after_batch.fs],
        head=[describe_part(layer, LAYERS) for layer in learn.model[1]],
        loss_func=loss,
        ood=fitted and {name: value for name, value in fitted.items() if not isinstance(value, torch.Tensor)},
        tensors=find_records(tensors_of(learn.model, fitted), data),
    )
    if repr(outline(description)) != repr(learn.model):
        raise Indescribable(f"a network that differs from {description.arch}")
    return description


def describe_part(part: Any, known: Parts) -> dict[str, Any]:
    """Return the name and arguments of a transform or layer. Raises `Indescribable` for a class not in `known`."""
    cls = augment.AffineCoordTfm if isinstance(part, augment.AffineCoordTfm) else type(part)
    if cls not in known:
        raise Indescribable(f"{cls.__name__}")
    arguments = {name: plain(getattr(part, name)) for name in known[cls]}
    if "bias" in arguments:  # a layer stores the values of its bias, not the argument `bias`
        arguments["bias"] = part.bias is not None
    if known is ITEM_TFMS and "size" in arguments:  # the argument is (height, width), but fastai stores (width, height)
        arguments["size"].reverse()
    return {"name": full_name(cls), **arguments}


def plain(value: Any) -> Any:
    """Convert an attribute of a transform or layer to a JSON value that its constructor accepts."""
    if isinstance(value, torch.Tensor):
        return value.flatten().tolist()
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return getattr(value, "value", value)  # an Enum has a `value`


def tensors_of(model: nn.Module, fitted: dict | None) -> dict[str, torch.Tensor]:
    """Return an export's tensors as a dict by name, with the model's floats in half precision as in the file."""
    tensors = {f"model.{name}": t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    return tensors | {f"ood.{name}": t for name, t in (fitted or {}).items() if isinstance(t, torch.Tensor)}


def find_records(tensors: dict[str, torch.Tensor], data: bytes) -> dict[str, Any]:
    """Find the record of each tensor in the zip file `data`, by comparing bytes.

    Return a dict from the name of each tensor to the name of its record, its dtype and its shape.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records: dict[bytes, list[str]] = {}
        for name in archive.namelist():
            if name.startswith(f"{ARCHIVE}data/"):
                records.setdefault(archive.read(name), []).append(name.removeprefix(ARCHIVE))
    found = {}
    for name, tensor in tensors.items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        if dtype not in DTYPES:
            raise Indescribable(f"a tensor of dtype {dtype}")
        same = records[tensor.numpy().astype(DTYPES[dtype]).tobytes()]
        found[name] = {"record": same.pop() if len(same) > 1 else same[0], "dtype": dtype, "shape": list(tensor.shape)}
    return found


def add_description(data: bytes, description: Description) -> bytes:
    """Add a `Description` to the zip file `data`, and return the bytes of the new file."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zipfile.ZipInfo(DESCRIPTION), description.model_dump_json())
    return buffer.getvalue()


# Read a description


class Undescribed(BearsError):
    """Report an export without a description, such as a file of `learn.export`."""


def open_described(file: Path | BinaryIO) -> Learner:
    """Build the Learner that `file` (a path or file object) describes, on the CPU and ready for `predict`.

    Raises `Undescribed` if there is no description, and `ExportError` for contents that aren't allowed. A damaged file
    can raise any exception.
    """
    with zipfile.ZipFile(file) as archive:
        return build(archive)


def build(archive: zipfile.ZipFile) -> Learner:
    if DESCRIPTION not in archive.namelist():
        raise Undescribed()
    if archive.getinfo(DESCRIPTION).file_size > MAX_DESCRIPTION:
        raise ExportError("its description is too long")
    description = Description.model_validate_json(archive.read(DESCRIPTION))
    size = sum(record.nbytes for record in description.tensors.values())
    if size > 2 * sum(info.compress_size for info in archive.infolist()):  # twice, since tensors may share a record
        raise ExportError("it describes more data than it contains")
    tensors = {name: read_tensor(archive, record) for name, record in description.tensors.items()}
    # Check the shapes first, so that a small file can't make this function allocate a large network.
    check_shapes(outline(description).state_dict(), description)
    model = create_network(description)
    model.load_state_dict(with_prefix(tensors, "model."))
    learn = Learner(create_dls(description), model, loss_func=getattr(losses, description.loss_func)())
    learn.arch = description.arch
    if description.ood is not None:
        learn.ood = with_prefix(tensors, "ood.") | description.ood
    return learn


def with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def outline(description: Description) -> nn.Sequential:
    """Return the described network, if possible without allocating memory for its weights."""
    try:
        with torch.device("meta"), WithoutRandom():
            return create_network(description)
    except NotImplementedError:  # torchvision's RegNet computes its sizes with tensors
        return create_network(description)


class WithoutRandom(TorchFunctionMode):
    """Leave out random initial weights. Drawing them on the meta device would import torch's compiler."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def create_network(description: Description) -> nn.Sequential:
    head = nn.Sequential(*(create_part(layer, LAYERS) for layer in description.head))
    return nn.Sequential(create_body(description.arch), head)


def check_shapes(state: dict[str, torch.Tensor], description: Description) -> None:
    expected = {f"model.{name}": (list(t.shape), t.is_floating_point()) for name, t in state.items()}
    given = {
        name: (record.shape, record.dtype.startswith("float"))
        for name, record in description.tensors.items()
        if not name.startswith("ood.")
    }
    if given != expected:
        raise ExportError(f"its tensors are not those of {description.arch} with such a head")


def read_tensor(archive: zipfile.ZipFile, record: Record) -> torch.Tensor:
    info = archive.getinfo(ARCHIVE + record.record)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != record.nbytes:
        raise ExportError(f"{record.record} is not what the description says")
    values = np.frombuffer(bytearray(archive.read(info)), DTYPES[record.dtype])
    return torch.from_numpy(values).reshape(record.shape)


def create_dls(description: Description) -> DataLoaders:
    """Return empty DataLoaders with the transforms and the classes, which `test_dl` and `predict` need."""
    photos = TfmdLists(
        [], [PILImage.create], types=[(Path, str, torch.Tensor, np.ndarray, bytes, Image.Image), PILImage]
    )
    labels = TfmdLists([], [Categorize(vocab=description.vocab, sort=False)], types=[str, TensorCategory])
    datasets = Datasets(tls=[photos, labels])
    dl = TfmdDL(
        datasets,
        bs=1,
        num_workers=0,
        after_item=[create_part(tfm, ITEM_TFMS) for tfm in description.item_tfms],
        after_batch=[create_part(tfm, BATCH_TFMS) for tfm in description.batch_tfms],
    )
    set_batch_types(dl, 1, TensorImage, TensorCategory)
    return DataLoaders(dl, dl, device=torch.device("cpu"))


def create_part(part: Any, known: Parts) -> Any:
    """Create the transform or layer that a part of a `Description` names."""
    [cls] = [cls for cls in known if full_name(cls) == part.name]
    arguments = {name: getattr(part, name) for name in known[cls]}
    return Normalize.from_stats(**arguments, cuda=False) if cls is Normalize else cls(**arguments)
