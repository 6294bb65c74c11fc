"""Test `accelerate launch train.py` with two processes, without GPUs."""

import json
import os
import runpy
import subprocess
import sys

import pytest
from bears import distributed
from bears.model.export import open_export
from helpers import ROOT, facts_of, free_port

import train

# Trains a linear model on 16 numbers; each process prints those that it saw.
SCRIPT = """
import json
import torch
from bears import distributed
from bears.learning.data import batch_size
from fastai.data.core import DataLoaders, TfmdDL
from fastai.learner import Callback, Learner
from fastai.losses import MSELossFlat

class Count(Callback):
    seen = 0
    def after_batch(self): self.seen += self.training * len(self.xb[0])

with distributed.processes():
    split = distributed.split_between_processes
    shares = split(lambda files: torch.tensor([[f, distributed.RANK] for f in files]))(range(5))
    items = [(torch.tensor([float(i)]), torch.tensor([2.0 * i + 1])) for i in range(16)]
    dls = DataLoaders(*[TfmdDL(items, bs=batch_size(16, 16), num_workers=0) for _ in range(2)])
    torch.manual_seed(0)
    learn = Learner(dls, torch.nn.Linear(1, 1), loss_func=MSELossFlat(), cbs=Count())
    with distributed.training(learn):
        learn.fit(3)
    seen = split(lambda _: torch.tensor([learn.count.seen]))(range(distributed.WORLD_SIZE))
    print(json.dumps({
        "shares": shares.tolist(), "seen": seen.tolist(), "model": type(learn.model).__name__,
        "weights": [p.item() for p in learn.model.parameters()],
    }))
"""


def launch(*args):
    """Start two processes of a script as a user does. The option is --multi_gpu, even without GPUs."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["--main_process_port", str(free_port()), *map(str, args)]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=250)


@pytest.mark.slow
def test_two_processes_of_the_default_recipe_make_the_model_of_one(shapes, tmp_path):
    options = ["--data", str(shapes), "--negatives", str(shapes / "disc"), "--folds", "2", "--out"]
    both = launch("train.py", *options, tmp_path / "two")
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("· 32 photos") == both.stdout.count("index.html") == 1
    assert {f.name for f in (tmp_path / "two").iterdir()} == {"export.pkl", "export.json", "examples", "reports"}
    train.main([*options, str(tmp_path / "one")])
    one, two = (facts_of(tmp_path / name) for name in ("one", "two"))
    assert two["counts"] == one["counts"]
    assert two["cross_validation"]["errors"] == one["cross_validation"]["errors"]
    assert two["none_of_them"]["threshold"] == pytest.approx(one["none_of_them"]["threshold"], abs=0.01)
    assert two["none_of_them"]["others"]["photos"] == 16
    photo = shapes / "square" / "03.jpg"
    one, two = (open_export(tmp_path / name / "export.pkl").predict(photo)[2] for name in ("one", "two"))
    assert two.tolist() == pytest.approx(one.tolist(), abs=0.01)


@pytest.mark.slow
def test_two_processes_train_the_lesson(shapes, tmp_path):
    recipe = ["--lesson", "--no-pretrained", "--arch", "test_resnet"]
    result = launch("train.py", "--data", shapes, "--out", tmp_path, *recipe)
    assert result.returncode == 0, result.stderr
    assert facts_of(tmp_path)["validation"]["photos"] == int(0.3 * 32)
    assert result.stdout.count("valid_loss") == 2  # of fine_tune's two fits
    assert open_export(tmp_path / "export.pkl").predict(shapes / "disc" / "00.jpg")[0] in ("disc", "square")


@pytest.mark.slow
def test_processes_share_the_work_and_learn_what_one_would(tmp_path, capsys):
    (tmp_path / "script.py").write_text(SCRIPT)
    two = json.loads(launch(tmp_path / "script.py").stdout.splitlines()[-1])
    runpy.run_path(tmp_path / "script.py")
    one = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert one["seen"] == [48] and two["seen"] == [24, 24]
    assert [share[0] for share in two["shares"]] == list(range(5)) and {share[1] for share in two["shares"]} == {0, 1}
    assert two["model"] == one["model"] == "Linear"
    assert two["weights"] == pytest.approx(one["weights"], abs=1e-5)


@pytest.mark.slow
def test_what_all_processes_find_wrong_is_said_once(tmp_path):
    result = launch("train.py", "--data", tmp_path / "nowhere", "--out", tmp_path)
    assert result.returncode != 0 and result.stdout == ""
    assert result.stderr.count("train.py: There is no folder") == 1
    assert "rank1" not in result.stderr


def test_a_launcher_that_starts_one_process_only_is_told_on(monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # as `accelerate launch --cpu --num_processes 2` does
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    distributed.init_processes()
    assert "only one process" in capsys.readouterr().out


def test_one_process_needs_no_accelerate(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)  # so importing it fails
    with pytest.raises(SystemExit, match="There is no folder nowhere"):
        train.main(["--data", "nowhere"])
