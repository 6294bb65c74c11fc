"""Test that an export opens without running code in it: its description is checked, then a Learner is built."""

import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import cloudpickle
import pytest
import torch
from bears.errors import ExportError
from bears.learning.learner import LINEAR_HEAD, vision_learner
from bears.model.classifier import Classifier
from bears.model.description import ARCHIVE, DESCRIPTION
from bears.model.export import export, load_pickle, open_export
from fastai.vision import all as fastai
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

EXPORT = ROOT / "export.pkl"
SMALL, WIDTH = fastai.Resize(96), 96  # pixels of a photo, and the number of test_resnet's features


class Call:
    """Be pickled as a call of a function, which unpickling would run."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def shell(marker):
    return Call(os.system, f"touch {marker}")


def from_type(marker):
    """Return a pickle that the allow-list of an earlier version let through."""
    return Call(torch._tensor._rebuild_from_type_v2, os.system, torch.Tensor, (f"touch {marker}",), {})


def refusal(file):
    with pytest.raises(ExportError) as error:
        open_export(file)
    message = str(error.value)
    assert "\n" not in message and message.endswith(".")
    return message


def rewritten(file, changes):
    """Return the bytes of a zip with some of its records replaced."""
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**records, **changes}.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("attack", [shell, from_type])
def test_a_pickle_is_not_run(tmp_path, attack):
    torch.save(attack(tmp_path / "it-ran"), tmp_path / "my.pkl", pickle_protocol=4)
    assert "--trust-model" in refusal(tmp_path / "my.pkl")
    assert not (tmp_path / "it-ran").exists()
    if sys.platform != "win32":  # check that the attack works in an ordinary pickle
        with pytest.raises(ExportError):
            open_export(tmp_path / "my.pkl", trust=True)
        assert (tmp_path / "it-ran").exists()


def test_a_pickle_beside_a_true_description_is_not_run_either(tmp_path):
    evil = {f"{ARCHIVE}data.pkl": pickle.dumps(shell(tmp_path / "it-ran"))}
    (tmp_path / "my.pkl").write_bytes(rewritten(EXPORT, evil))
    assert open_export(tmp_path / "my.pkl").predict(ROOT / "examples" / "teddy.jpg")[0] == "teddy"
    assert not (tmp_path / "it-ran").exists()


def test_other_formats_of_torch_are_not_run(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "script.pkl")
    torch.save({}, tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    torch.save(Call(lambda: None), tmp_path / "cloud.pkl", pickle_module=cloudpickle)
    assert "--trust-model" in refusal(tmp_path / "script.pkl")
    assert "--trust-model" in refusal(tmp_path / "cloud.pkl")
    assert "can't be opened here" in refusal(tmp_path / "old.pkl")


def test_an_ordinary_fastai_export_opens_only_when_it_is_trusted(tmp_path):
    learn = open_export(EXPORT)
    learn.path = tmp_path
    learn.export("ordinary.pkl")
    assert "--trust-model" in refusal(tmp_path / "ordinary.pkl")
    assert open_export(tmp_path / "ordinary.pkl", trust=True).predict(ROOT / "examples" / "teddy.jpg")[0] == "teddy"


@pytest.mark.slow
def test_the_app_refuses_a_hostile_model_in_a_sentence(tmp_path):
    torch.save(shell(tmp_path / "it-ran"), tmp_path / "my.pkl")
    command = [sys.executable, ROOT / "app.py", "--model", tmp_path / "my.pkl"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "--trust-model" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "it-ran").exists()


# Exports of train.py open


@pytest.fixture
def learner(shapes, no_workers):
    """Return a function that creates an untrained Learner for the drawn photos."""

    def create(item_tfms=SMALL, batch_tfms=None, arch="test_resnet", loss_func=None, **kwargs):
        torch.manual_seed(0)
        dls = fastai.ImageDataLoaders.from_folder(
            shapes, valid_pct=0.5, item_tfms=item_tfms, batch_tfms=batch_tfms, bs=4
        )
        return vision_learner(dls, arch, pretrained=False, loss_func=loss_func, **kwargs)

    return create


CHANGED = {
    "linear": lambda: dict(**LINEAR_HEAD),
    "squish": lambda: dict(item_tfms=fastai.Resize((64, 96), method="squish")),
    "pad": lambda: dict(item_tfms=fastai.Resize(96, method=fastai.ResizeMethod.Pad, pad_mode=fastai.PadMode.Zeros)),
    "crop": lambda: dict(item_tfms=[fastai.CropPad(64), fastai.FlipItem()]),
    "book": lambda: dict(item_tfms=fastai.RandomResizedCrop(96, min_scale=0.5), batch_tfms=fastai.aug_transforms()),
    "presized": lambda: dict(item_tfms=fastai.Resize(128), batch_tfms=fastai.aug_transforms(size=96)),
    "on the GPU": lambda: dict(item_tfms=fastai.Resize(128), batch_tfms=fastai.aug_transforms(size=96, min_scale=0.75)),
    "normalised": lambda: dict(batch_tfms=fastai.Normalize.from_stats(*fastai.imagenet_stats)),
    "resnet18": lambda: dict(arch="resnet18", lin_ftrs=[64, 32], bn_final=True),
    "vit": lambda: dict(arch="test_vit", item_tfms=fastai.Resize(160)),
    "torchvision's": lambda: dict(arch="mobilenet_v3_small", ps=0.1, first_bn=False),
    "regnet": lambda: dict(arch="regnet_x_400mf"),
    "smoothed": lambda: dict(loss_func=fastai.LabelSmoothingCrossEntropy()),
    "own head": lambda: dict(
        custom_head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(WIDTH, 2)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGED)
def test_what_a_student_changes_is_described_and_answers_as_load_learner_does(learner, tmp_path, change):
    learn = learner(**CHANGED[change]())
    export(learn, tmp_path / "export.pkl")
    ours, fastais = open_export(tmp_path / "export.pkl"), load_pickle(tmp_path / "export.pkl")
    for photo in sorted((ROOT / "examples").glob("*.jpg")):
        (label, number, probs), expected = ours.predict(photo), fastais.predict(photo)
        assert (label, number) == expected[:2] and torch.equal(probs, expected[2])


def test_the_shipped_model_answers_as_load_learner_does():
    ours, fastais = open_export(EXPORT), load_pickle(EXPORT)
    for photo in sorted((ROOT / "examples").glob("*.jpg")):
        assert torch.equal(ours.predict(photo)[2], fastais.predict(photo)[2])
    assert all(torch.equal(value, fastais.ood[name]) for name, value in ours.ood.items() if torch.is_tensor(value))
    assert {name for name in ours.ood} == {name for name in fastais.ood}


@pytest.mark.slow
def test_the_same_weights_make_the_same_file(learner, tmp_path):
    for file in ("one.pkl", "two.pkl"):
        learn = learner(**LINEAR_HEAD)
        learn.dls.one_batch()  # uses random numbers
        export(learn, tmp_path / file)
    assert (tmp_path / "one.pkl").read_bytes() == (tmp_path / "two.pkl").read_bytes()


class Mine(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.slow
def test_a_network_of_ones_own_layers_needs_trust(learner, tmp_path, capsys):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Mine(), nn.Linear(WIDTH, 2))
    learn = learner(custom_head=head)
    export(learn, tmp_path / "export.pkl")
    assert "can only be opened with --trust-model" in capsys.readouterr().out
    assert "--trust-model" in refusal(tmp_path / "export.pkl")
    assert open_export(tmp_path / "export.pkl", trust=True).predict(ROOT / "examples" / "teddy.jpg")


@pytest.mark.slow
def test_a_body_that_was_changed_needs_trust(learner, tmp_path, capsys):
    learn = learner()
    learn.model[0].model.act1 = nn.Tanh()
    export(learn, tmp_path / "export.pkl")
    assert "can only be opened with --trust-model" in capsys.readouterr().out


# Damaged and manipulated files


@pytest.fixture
def small(learner, tmp_path):
    """Write a small export, which opens in a few hundredths of a second."""
    export(learner(**LINEAR_HEAD), tmp_path / "export.pkl")
    return tmp_path / "export.pkl"


@pytest.mark.slow
def test_a_damaged_file_is_noticed_or_answers_as_before(small):
    data, state = small.read_bytes(), open_export(small).model.state_dict()

    @settings(max_examples=150, deadline=None, database=None)
    @given(at=st.integers(0, len(data) - 1), byte=st.integers(0, 255), cut=st.integers(0, 3), tail=st.booleans())
    def damage(at, byte, cut, tail):
        at = len(data) - 1 - at % 20_000 if tail else at  # `tail`: in the zip's list of records
        damaged = data[:at] if cut == 3 else data[:at] + bytes([byte]) + data[at + cut :]
        small.write_bytes(damaged)
        try:
            learn = open_export(small)
        except ExportError as e:
            assert str(e).endswith(".")
        else:
            assert all(torch.equal(t, state[name]) for name, t in learn.model.state_dict().items())

    damage()


@pytest.mark.slow
def test_a_flipped_bit_in_the_weights_is_noticed(small):
    with zipfile.ZipFile(small) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    data = bytearray(small.read_bytes())
    data[largest.header_offset + largest.file_size // 2] ^= 1
    small.write_bytes(data)
    assert "CRC" in refusal(small)


def places(value, place=()):
    """Return the positions of all values in a JSON document, as tuples of keys."""
    yield place
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*place, key))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["data/1", 10**9]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
def test_a_lying_description_is_refused_or_answers(small):
    with zipfile.ZipFile(small) as archive:
        truth = archive.read(DESCRIPTION)
    paths = [place for place in places(json.loads(truth)) if place]

    @settings(max_examples=150, deadline=None, database=None)
    @given(place=st.sampled_from(paths), lie=JSON, leave_out=st.booleans())
    def tell(place, lie, leave_out):
        description = json.loads(truth)
        parent = description
        for key in place[:-1]:
            parent = parent[key]
        if leave_out:
            del parent[place[-1]]
        else:
            parent[place[-1]] = lie
        small.write_bytes(rewritten(io.BytesIO(original), {DESCRIPTION: json.dumps(description)}))
        try:
            [answer] = Classifier(small).ask([Image.new("RGB", (300, 200))])
        except ExportError as e:
            assert str(e).endswith(".")
        else:
            assert sum(answer[0].values()) == pytest.approx(1, abs=1e-3)

    original = small.read_bytes()
    tell()


@pytest.mark.slow
@pytest.mark.parametrize(
    "lie, why",
    [
        ({"arch": "hf-hub:someone/something"}, "has a backbone"),
        ({"arch": "vit_giant_patch14_224"}, "tensors are not those"),
        ({"vocab": ["a"] * 10_001}, "at most 10000"),
        ({"vocab": ["a", "a"]}, "the same name"),
        ({"format": 2}, "format"),
        ({"ood": {"threshold": "high"}}, "ood"),
        ({"ood": {"likely": 1.5}}, "not a probability"),
        ({"ood": {"earned": -0.1}}, "not a probability"),
        ({"ood": {"threshold": [[0, 1]]}}, "only groups are lists"),
        ({"ood": {"groups": 1}}, "only groups are lists"),
        ({"ood": {"groups": [[0]]}}, "ood.groups"),
        ({"ood": {"groups": [[0, -1]]}}, "ood.groups"),
        ({"vocab": ["a", "b", "c"], "ood": {"groups": [[0, 3]]}}, "unknown class"),
        ({"vocab": ["a", "b", "c"], "ood": {"groups": [[0, 1], [1, 2]]}}, "in two groups"),
        ({"item_tfms": [{"name": "os.system"}]}, "os.system"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_what_an_export_may_not_ask_for(small, lie, why):
    with zipfile.ZipFile(small) as archive:
        description = json.loads(archive.read(DESCRIPTION))
    small.write_bytes(rewritten(small, {DESCRIPTION: json.dumps(description | lie)}))
    assert why in refusal(small)


@pytest.mark.slow
def test_tensors_may_not_be_more_than_the_file_holds(small):
    with zipfile.ZipFile(small) as archive:
        description = json.loads(archive.read(DESCRIPTION))
    name = max(description["tensors"], key=lambda name: description["tensors"][name]["shape"])
    large = {f"ood.{i}": description["tensors"][name] for i in range(1000)}
    description["tensors"] |= large
    small.write_bytes(rewritten(small, {DESCRIPTION: json.dumps(description)}))
    assert "more data than it contains" in refusal(small)


@pytest.mark.slow
def test_records_may_not_be_compressed(small):
    with zipfile.ZipFile(small) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    assert "is not what the description says" in refusal(small)
