"""Test `clean watched`: alarms are reviewed on the same page as photos."""

import json
import shutil

import pytest
from bears.clean.__main__ import kind_of, main, sum_up_steps
from bears.clean.events import FALSE_ALARM, UNCLEAR, Alarms, find_false_alarms, rank_events
from bears.clean.page import Review, Step
from bears.errors import DataError


@pytest.fixture
def watched(shapes, tmp_path):
    """Write a watch's folder with two alarms, and one whose pictures are gone."""
    for day, score in ((1, 0.9), (2, 0.7), (3, 0.8)):
        folder = tmp_path / "events" / f"2026-05-0{day}T23-10-42.456"
        folder.mkdir(parents=True)
        looks = [
            {"score": score - 0.1, "probs": {"disc": 1}, "picture": "crop-1.jpg"},
            {"score": 0, "probs": {"disc": 1}},
        ]
        looks.append({"score": score, "probs": {"disc": 0.2, "square": 0.8}, "picture": "crop-3.jpg"})
        (folder / "event.json").write_text(json.dumps({"event": "alarm", "source": "camera 0", "scores": looks}))
        for name in ("crop-1.jpg", "crop-3.jpg") if day < 3 else ():
            shutil.copy(shapes / "square" / "00.jpg", folder / name)
    return tmp_path


def name(day):
    return f"events/2026-05-0{day}T23-10-42.456/crop-3.jpg"


def test_each_alarm_is_shown_by_the_picture_that_spoke_most_for_it(watched):
    ranking = rank_events(watched)
    assert list(ranking) == ["square", FALSE_ALARM, UNCLEAR]
    assert [photo.name for photo in ranking["square"]] == [name(2), name(1)], "the latest comes first"
    assert ranking["square"][1].opinion == "an alarm of 2026-05-01 23-10: square, 90%"
    assert kind_of(watched) == (Alarms, rank_events)


def test_what_is_said_of_an_alarm_is_noted_and_moves_nothing(watched):
    before = sorted(watched.glob("events/**/*"))
    alarms = Alarms(watched)
    review = Review(alarms, rank_events(watched))
    review.take(Step(action="move", name=name(1), goal=FALSE_ALARM))
    review.take(Step(action="keep", name=name(2)))
    said = {step["from"]: step["action"] for step in alarms.steps()}
    assert said == {name(1): FALSE_ALARM, name(2): "keep"} and not review.waiting("square")
    assert sum_up_steps([], alarms.steps()) == "Alarms that you marked as right: 1, as false: 1."
    assert sorted(watched.glob("events/**/*")) == before
    review.take(Step(action="undo", name=name(1)))
    review.take(Step(action="set aside", name=name(1)))
    assert {step["from"]: step["action"] for step in alarms.steps()} == {name(1): UNCLEAR, name(2): "keep"}


def test_the_list_names_the_alarms_and_no_training(watched, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["bears.clean", str(watched), "--list"])
    main()
    said = capsys.readouterr().out
    assert "2 photos to review: 2 may be false alarms." in said and "train" not in said


def test_only_what_somebody_has_called_a_false_alarm_of_this_camera_is_one(watched):
    alarms, pictures = Alarms(watched), sorted((watched / "events" / "2026-05-01T23-10-42.456").glob("*.jpg"))
    alarms.move(name(1), FALSE_ALARM)
    alarms.keep(name(2))
    assert find_false_alarms(watched) == find_false_alarms(watched, "camera 0") == pictures
    assert find_false_alarms(watched, "camera 1") == []
    alarms.undo(name(1))
    assert find_false_alarms(watched) == []
    alarms.set_aside(name(1))
    assert find_false_alarms(watched) == []


@pytest.mark.parametrize("text", ["", "[]", '{"scores": [{"picture": "crop-1.jpg"}]}'])
def test_a_damaged_event_is_one_sentence(watched, text):
    (watched / name(1)).with_name("event.json").write_text(text)
    with pytest.raises(DataError, match="Move the folder of this event elsewhere"):
        rank_events(watched)
    Alarms(watched).move(name(1), FALSE_ALARM)
    with pytest.raises(DataError, match="Move the folder of this event"):
        find_false_alarms(watched)


def test_a_picture_outside_of_its_event_is_not_shown(watched):
    looks = [{"score": 1, "probs": {"disc": 1}, "picture": "../2026-05-02T23-10-42.456/crop-3.jpg"}]
    (watched / "events" / "2026-05-01T23-10-42.456" / "event.json").write_text(json.dumps({"scores": looks}))
    assert [photo.name for photo in rank_events(watched)["square"]] == [name(2)]
