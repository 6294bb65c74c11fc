"""The figures that README and model card state are those that train.py prints for the shipped model."""

import json

import pytest
import torch
from bears.data import find_photos, group_twins, grouped_folds
from bears.export import open_export
from conftest import ROOT
from fastai.data.transforms import parent_label

FACTS = json.loads((ROOT / "export.json").read_text())
PAGES = [ROOT / "README.md", ROOT / "MODEL_CARD.md"]


def phrase(facts):
    low, high = facts["interval_95"]
    rate, errors, photos = facts["error_rate"], facts["errors"], facts["photos"]
    return f"{rate:.1%} ({errors} of {photos} photos; 95% interval {low:.1%} to {high:.1%})"


@pytest.mark.parametrize("page", PAGES, ids=lambda f: f.name)
@pytest.mark.parametrize(
    "facts", [FACTS["validation"], FACTS["cross_validation"], FACTS["none_of_them"]["others"]], ids=phrase
)
def test_pages_state_the_figures_of_the_shipped_model(page, facts):
    assert phrase(facts) in page.read_text()


def test_shipped_model_errs_as_little_as_promised():
    assert FACTS["cross_validation"]["error_rate"] <= 0.015
    assert FACTS["validation"]["error_rate"] <= 0.01


def test_validation_error_is_what_the_shipped_file_makes(photos):
    files, dropped = find_photos(photos / "bears", ROOT / "bears" / "left_out.csv")
    assert dropped == FACTS["dropped"]
    valid = [files[i] for i in grouped_folds(files, group_twins(files), seed=FACTS["seed"])[0][1]]
    learn = open_export(ROOT / "export.pkl")
    probs, _ = learn.get_preds(dl=learn.dls.test_dl(valid, bs=32))
    targets = torch.tensor([learn.dls.vocab.o2i[parent_label(f)] for f in valid])
    assert len(valid) == FACTS["validation"]["photos"]
    assert int((probs.argmax(1) != targets).sum()) == FACTS["validation"]["errors"]
