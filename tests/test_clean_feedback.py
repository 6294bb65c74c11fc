"""Test `clean feedback`: disagreements come first, and training only uses confirmed photos."""

import csv
import shutil
from argparse import Namespace

import pytest
from bears.app.feedback import PHOTOS
from bears.clean.__main__ import main, sum_up, train_command
from bears.clean.feedback import Reviewed, rank_feedback
from bears.clean.page import Review, Step
from bears.errors import DataError
from bears.learning.data import find_all_photos
from bears.photos import NONE_OF_THESE, NOT_KNOWN

ROWS = [  # the visitor's label, the model's, and its probability
    ("disc", "disc", 0.99),
    ("disc", "square", 0.6),
    ("square", "disc", 0.95),
    (NONE_OF_THESE, "disc", 0.8),
    (NOT_KNOWN, "square", 0.7),
]


def fill(folder, shapes):
    """Write the folder of `app --feedback`."""
    rows = []
    for i, (visitor, answer, prob) in enumerate(ROWS):
        name = f"{visitor}/{i:032}.jpg"
        (folder / "unreviewed" / visitor).mkdir(parents=True, exist_ok=True)
        shutil.copy(shapes / "disc" / f"{i:02}.jpg", folder / "unreviewed" / name)
        rows.append((name, visitor, answer, "sure", prob, "abc", "2026-11-29"))
    with (folder / "unreviewed" / "metadata.csv").open("w", newline="") as f:
        csv.writer(f).writerows([PHOTOS, *rows, ("disc/gone.jpg", "disc", "disc", "sure", 0.9, "abc", "2026-11-29")])
    return folder


@pytest.fixture
def feedback(shapes, tmp_path):
    return fill(tmp_path / "feedback", shapes)


def review_of(folder):
    return Review(Reviewed(folder), rank_feedback(folder))


def run(*args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bears.clean", *map(str, args)])
        main()


def name(i):
    return f"unreviewed/{ROWS[i][0]}/{i:032}.jpg"


def photos(folder):
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*.jpg"))


def test_disagreements_come_first_and_the_model_that_was_surest_before_others(feedback):
    ranking = rank_feedback(feedback)
    assert list(ranking) == ["disc", "square", NONE_OF_THESE]
    assert [photo.name for photo in ranking["disc"]] == [name(1), name(0)]
    assert [photo.name for photo in ranking["square"]] == [name(2), name(4)], "who does not know leaves it to the model"
    assert [photo.group for photo in ranking["disc"]] == ["look wrong", "look right"]
    first = ranking["disc"][0]
    assert first.opinion == "the visitor says disc, the model square, 60%" and first.suggestion == ("", "")
    assert sum_up(review_of(feedback)).startswith("5 photos to review: 3 get different answers from visitor")


def test_what_is_confirmed_is_sorted_and_each_step_can_be_taken_back(feedback):
    review = review_of(feedback)
    before = photos(feedback)
    review.take(Step(action="keep", name=name(2)))
    review.take(Step(action="move", name=name(1), goal="square"))
    review.take(Step(action="keep", name=name(3)))
    review.take(Step(action="keep", name=name(4)))
    review.take(Step(action="set aside", name=name(0)))
    assert photos(feedback) == [
        f"negatives/{3:032}.jpg",
        *(f"reviewed/square/{i:032}.jpg" for i in (1, 2, 4)),
        f"set-aside/{name(0)}",
    ]
    assert not any(review_of(feedback).waiting(label) for label in review.ranking)
    for i in (0, 4, 3, 1, 2):
        review.take(Step(action="undo", name=name(i)))
    assert photos(feedback) == before


def test_nothing_enters_training_before_somebody_has_confirmed_it(feedback, shapes):
    with pytest.raises(DataError, match="two folders"):
        find_all_photos([feedback])
    review_of(feedback).take(Step(action="keep", name=name(2)))
    files, _ = find_all_photos([shapes, feedback / "reviewed"])
    assert len(files) == 33 and files[-1] == feedback / "reviewed" / "square" / f"{2:032}.jpg"


def test_no_step_leads_out_of_the_folder(feedback):
    review = review_of(feedback)
    for step in (
        Step(action="keep", name="../secret.jpg"),
        Step(action="move", name=name(0), goal="../../elsewhere"),
        Step(action="move", name=name(0), goal=NOT_KNOWN),
    ):
        with pytest.raises(DataError, match="not a photo of this page"):
            review.take(step)


def test_several_runs_of_a_space_are_reviewed_together(shapes, tmp_path):
    for run in ("2026-11-29-a", "2026-11-29-b"):
        fill(tmp_path / run, shapes)
    review = review_of(tmp_path)
    assert len(review.waiting("disc")) == 4
    for photo in review.ranking["disc"]:
        review.take(Step(action="keep", name=photo.name))
    assert len(list((tmp_path / "reviewed" / "disc").iterdir())) == 4


def test_the_command_says_how_to_train_with_it(feedback, capsys):
    run("--list", feedback)
    said = capsys.readouterr().out
    assert "the visitor says square, the model disc, 95%" in said
    command = f"--data my_photos --data {feedback}/reviewed --negatives {feedback}/negatives"
    assert command in said and "Scoring" not in said


def test_a_damaged_table_is_one_sentence(feedback, capsys):
    (feedback / "unreviewed" / "metadata.csv").write_text("file_name,visitor\na.jpg,disc\n")
    with pytest.raises(SystemExit, match="can't be read"):
        run("--list", feedback)


def test_other_folders_are_cleaned_as_before(shapes):
    assert train_command(Namespace(data=str(shapes), exclude=None)).endswith("--out my_model")
