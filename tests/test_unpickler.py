"""A model file from a stranger: refused in a sentence that names what it asked for, before any of it runs."""

import builtins
import io
import os
import pickle
import subprocess
import sys
import warnings

import cloudpickle
import pytest
import torch
from bears import unpickler
from bears.errors import ExportError
from bears.export import open_export
from conftest import ROOT
from fastai.vision.core import PILImage
from torch import nn


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def refusal(tmp_path, obj, pickle_module=pickle):
    file = tmp_path / "export.pkl"
    torch.save(obj, file, pickle_module=pickle_module, pickle_protocol=4)
    with pytest.raises(ExportError) as error:
        open_export(file)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "function, argument, name",
    [
        (os.system, "touch {}", "posix.system"),
        (builtins.eval, "open('{}', 'w')", "builtins.eval"),
        (builtins.exec, "open('{}', 'w')", "builtins.exec"),
        (subprocess.check_output, ["touch", "{}"], "subprocess.check_output"),
        (torch.hub.load, "{}", "torch.hub.load"),
        (torch.load, "{}", "torch.serialization.load"),
        (pickle.loads, b"", "_pickle.loads"),
    ],
    ids=lambda x: x.__name__ if callable(x) else "",
)
def test_calling_what_no_export_needs(tmp_path, function, argument, name):
    marker = tmp_path / "it-ran"
    argument = argument.format(marker) if isinstance(argument, str) else argument
    assert name in refusal(tmp_path, Call(function, argument))
    assert not marker.exists()


def test_cloudpickled_function(tmp_path):
    marker = tmp_path / "it-ran"
    message = refusal(tmp_path, Call(lambda: marker.touch()), cloudpickle)
    assert "cloudpickle" in message and not marker.exists()


@pytest.mark.parametrize("name", ["__init__", "__globals__", "__subclasses__", "__class__"])
def test_getattr_chains(tmp_path, name):
    assert name in refusal(tmp_path, Call(getattr, PILImage, name))


def test_dotted_names_reach_no_further_than_the_list():
    name = b"\x8c\x17torch.nn.modules.linear\x8c\x0eLinear.forward"
    with pytest.raises(unpickler.Refused, match=r"Linear\.forward"):
        unpickler.Unpickler(io.BytesIO(b"\x80\x04" + name + b"\x93.")).load()


@pytest.mark.parametrize("name", [b"fastai.data.transforms\nparent_label\n", b"fastai.learner\nLearner\n"])
def test_changing_an_imported_function_or_class(name):
    build = b"N}U\x0f__annotations__U\x04evils\x86b."  # sets an attribute, which fastai may evaluate later
    with pytest.raises(unpickler.Refused, match="a change of"):
        unpickler.Unpickler(io.BytesIO(b"\x80\x02c" + name + build)).load()


def test_calling_an_object_that_the_pickle_made(tmp_path):
    assert "a call of Linear" in refusal(tmp_path, Call(nn.Linear(2, 2), torch.zeros(2)))


def text(s):
    return b"X" + len(s).to_bytes(4, "little") + s.encode()


def fields(**values):
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def made(name, **state):
    """Opcodes that make an object without its constructor and give it a state."""
    return b"c" + name + b")\x81" + fields(**state) + b"b"


@pytest.mark.parametrize("call", [b"(%sK\x01o", b"c_functools\nreduce\n(%s(K\x01K\x02ttR", b"%s(K\x01tR", b"%s"])
def test_code_in_an_annotation_that_plum_evaluates(tmp_path, call):
    marker = tmp_path / "it-ran"
    wrapped = b"cfastai.data.transforms\nparent_label\n"
    annotations = fields(x=text(f"os.system('touch {marker}')"))
    names = {"__annotations__": annotations, "__wrapped__": wrapped, "__name__": text("__call__")}
    layer = made(b"torch.nn.modules.linear\nIdentity\n", _modules=b"}", training=b"\x88", **names)
    function = made(
        b"plum._function\nFunction\n", _pending=b"](" + b"(" + layer + b"NK\0te", _resolved=b"]", _cache=b"}"
    )
    unpickled = unpickler.Unpickler(io.BytesIO(b"\x80\x04" + call.replace(b"%s", function) + b"."))
    if call == b"%s":
        assert unpickled.load()._pending == []
    else:
        with pytest.raises(unpickler.Refused):
            unpickled.load()
    assert not marker.exists()


UNION = b"\x80\x04c_operator\ngetitem\n(%s(%sttR."  # as Python 3.14 writes one


def test_the_unions_of_python_3_14_open():
    kinds = UNION % (b"ctyping\nUnion\n", b"cbuiltins\nint\ncbuiltins\nstr\n")
    assert unpickler.Unpickler(io.BytesIO(kinds)).load() == int | str


@pytest.mark.parametrize(
    "union",
    [
        UNION % (b"ctyping\nUnion\n", text("os.system('true')") + b"cbuiltins\nstr\n"),
        UNION % (b"]", b"K\x00K\x01"),
        b"\x80\x04c_functools\nreduce\n(c_operator\nor_\n(cbuiltins\nint\n%sttR." % text("os.system('true')"),
    ],
    ids=["typing.Union", "a list", "functools.reduce"],
)
def test_a_union_of_what_is_evaluated_later(union):
    with pytest.raises(unpickler.Refused, match="else than"):
        unpickler.Unpickler(io.BytesIO(union)).load()


def test_formats_that_run_by_themselves(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "script.pkl")
    torch.save({}, tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    for name, what in (("script.pkl", "TorchScript"), ("old.pkl", "damaged, or no export")):
        with pytest.raises(ExportError, match=what):
            open_export(tmp_path / name)


def test_an_ordinary_fastai_export_opens_only_when_it_is_trusted(tmp_path):
    learn = open_export(ROOT / "export.pkl")
    learn.path = tmp_path
    learn.export("ordinary.pkl")
    with pytest.raises(ExportError, match="--trust-model"):
        open_export(tmp_path / "ordinary.pkl")
    assert open_export(tmp_path / "ordinary.pkl", trust=True).predict(ROOT / "examples" / "teddy.jpg")[0] == "teddy"


def test_the_app_says_what_a_hostile_model_asked_for(tmp_path):
    torch.save(Call(os.system, f"touch {tmp_path}/it-ran"), tmp_path / "my.pkl")
    command = [sys.executable, ROOT / "app.py", "--model", tmp_path / "my.pkl"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "posix.system" in result.stderr
    assert not (tmp_path / "it-ran").exists()
