"""Test that students' edits to train.py work. Each test changes one place in a copy of train.py."""

import importlib.util
import json

import pytest
from bears.model.classifier import Classifier
from fastai.vision.all import MultiCategoryBlock, parent_label
from helpers import ROOT
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_workers", "no_pictures")]
TINY = ["--arch", "test_resnet", "--no-pretrained"]  # timm's network for tests


@pytest.fixture
def edited(tmp_path):
    """Return a function that imports a copy of train.py with one passage replaced."""

    def edit(old, new):
        code = (ROOT / "train.py").read_text()
        assert code.count(old) == 1, old
        (tmp_path / "train.py").write_text(code.replace(old, new))
        spec = importlib.util.spec_from_file_location("edited", tmp_path / "train.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return edit


def facts_after(train, data, out, *options):
    """Run an edited train.py, check that its export opens and answers as in app.py, and return the facts."""
    train.main(["--data", str(data), "--out", str(out), *options])
    [(probs, *_)] = Classifier(out / "export.pkl").ask([Image.new("RGB", (300, 200))])
    assert sum(probs.values()) == pytest.approx(1)
    return json.loads((out / "export.json").read_text())


AUGMENT = "item_tfms=RandomResizedCrop(224, min_scale=0.5), batch_tfms=aug_transforms()"


def test_augmentation_in_the_default_recipe_is_done(edited, shapes, tmp_path, capsys):
    train = edited("item_tfms=Resize(input_size(args.arch))", AUGMENT)
    seen, compute_features = [], train.compute_features
    train.compute_features = lambda *args: seen.append(compute_features(*args)) or seen[0]
    facts = facts_after(train, shapes, tmp_path / "out", "--folds", "2", *TINY)
    assert facts["cross_validation"]["photos"] == 32
    assert "4 random versions of each photo" in capsys.readouterr().out
    versions = [seen[0].photos, *seen[0].augmented]
    assert len({tuple(features[0].tolist()) for features in versions}) == 5  # all versions and the photo differ


def test_another_backbone(edited, shapes, tmp_path):
    train = edited(
        "args.arch, metrics=error_rate, pretrained=not args.no_pretrained, **", '"resnet18", pretrained=False, **'
    )
    assert facts_after(train, shapes, tmp_path / "out", "--folds", "2")["arch"] == "resnet18"


def epochs(train):
    """Return a list. Each later call of `train.show` adds the number of epochs of its training to the list."""
    found, show = [], train.show
    train.show = lambda result, *rest: found.append(len(result.loss_recorder.values)) or show(result, *rest)
    return found


def test_more_epochs_at_a_rate_from_lr_find(edited, shapes, tmp_path):
    train = edited("learn.fine_tune(4)", "learn.fine_tune(5, learn.lr_find(num_it=8, show_plot=False).valley)")
    shown = epochs(train)
    facts_after(train, shapes, tmp_path / "out", "--lesson", *TINY)
    assert shown == [5]


def test_more_epochs_at_a_rate_from_lr_find_in_the_default_recipe(edited, shapes, tmp_path):
    train = edited("head.fit_one_cycle(EPOCHS, LR)", "head.fit_one_cycle(30, head.lr_find(show_plot=False).valley)")
    shown = epochs(train)
    facts = facts_after(train, shapes, tmp_path / "out", "--folds", "2")
    assert shown == [30] and facts["cross_validation"]["error_rate"] <= 0.2


def test_a_body_that_was_unfrozen_is_judged_by_photos_that_it_never_saw(edited, shapes, tmp_path, capsys):
    line = "    if body_was_trained(learn):"
    train = edited(line, f"    learn.unfreeze()\n    learn.fit_one_cycle(1, 1e-4)\n{line}")
    seen, get_dls = [], train.get_dls

    def remember_what_it_saw(*args, **kwargs):
        dls = get_dls(*args, **kwargs)
        seen.extend(dls.train.items)
        return dls

    train.get_dls = remember_what_it_saw
    facts = facts_after(train, shapes, tmp_path / "out", *TINY)
    assert facts["cross_validation"]["folds"] == 1
    assert facts["cross_validation"]["photos"] == 32 - len(seen)
    assert "only the first fold is tested" in capsys.readouterr().out


def test_several_labels_for_a_photo_are_refused_in_one_sentence(edited, shapes, tmp_path):
    train = edited("        blocks=(ImageBlock, CategoryBlock),", "        blocks=(ImageBlock, MultiCategoryBlock),")
    train.MultiCategoryBlock, train.parent_label = MultiCategoryBlock, lambda file: [parent_label(file), "shape"]
    with pytest.raises(SystemExit, match=r"one label per photo\. Use CategoryBlock"):
        train.main(["--data", str(shapes), "--out", str(tmp_path), "--lesson", "--no-pretrained"])
