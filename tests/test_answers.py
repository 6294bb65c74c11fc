"""Test the four kinds of answer in Python, JavaScript, and everywhere they are shown."""

import csv
import io
import json
import shutil

import numpy as np
import pytest
import requests
from bears.errors import DataError
from bears.learning.data import check_labels
from bears.model.answers import GROUP, NO_LIMITS, SURE, Limits
from bears.model.classifier import Classifier
from bears.model.export import export, open_export
from bears.model.ood import certainty
from bears.model.photo import open_photo
from bears.model.wording import headline, hints, percent, photo_words, shown_probs
from bears.offline.site import build, words
from bears.predict import __main__ as predict
from bears.train.options import parse_args
from bears.watch.alarm import Rule
from bears.watch.engine import Frame, Watcher
from gradio_client import Client, handle_file
from helpers import DESKTOP, FILE_DATA, PHONE, ROOT, Host, Server, in_front_end, serious_findings, upload

BLACK, TEDDY = ROOT / "examples" / "black.jpg", ROOT / "examples" / "teddy.jpg"
CASES = json.loads((ROOT / "tests" / "answers.json").read_text(encoding="utf-8"))
BEARS = {"subject": "bear", "groups": {"bear": ["black", "grizzly"]}}
EITHER, VERDICT = "black or grizzly", "A bear: black or grizzly, can't tell which"
PROBABLY = "A bear: black or grizzly, probably black"  # for the example
CANNOT_TELL = Limits(0.97, [["black", "grizzly"]])
PROBS = {"black": 0.359, "grizzly": 0.64, "teddy": 0.001}


# The rules in Python and JavaScript


@pytest.mark.parametrize("case", CASES["certainty"], ids=lambda case: case["about"])
def test_the_rule_in_python(case):
    assert certainty(case["fitted"], case["probs"], case["score"]) == case["certainty"]


@pytest.mark.parametrize("prob, earned, text", CASES["percent"])
def test_percentages_in_python(prob, earned, text):
    assert percent(prob, earned) == text


def case_limits(case):
    return Limits(case["earned"], case["groups"])


@pytest.mark.parametrize("case", CASES["words"], ids=lambda case: case["about"])
def test_words_in_python(case):
    answer, limits = (case["probs"], case["certainty"]), case_limits(case)
    assert headline(*answer, case["facts"], limits) == case["verdict"]
    rows = sorted(shown_probs(*answer, limits).items(), key=lambda row: -row[1])  # as Gradio's Label does
    assert rows == [(label, pytest.approx(prob)) for label, prob in case["rows"]]


def in_javascript(browser, module, answer, cases):
    """Return the front end's answers to some cases. `answer` is a function of a case that uses the module as `js`."""
    script = f'async cases => {{ const js = await import("{module}"); return cases.map({answer}) }}'
    said = in_front_end(browser, script, cases)
    assert len(said) == len(cases)
    return said


@pytest.mark.slow
def test_the_rule_in_javascript(browser):
    rule = "{likely: 0.5, groups: [], ...fitted}"
    answer = f"({{fitted, probs, score}}) => js.certainty({rule}, probs, score ?? undefined)"
    answers = in_javascript(browser, "/offline/squares.js", answer, CASES["certainty"])
    assert answers == [case["certainty"] for case in CASES["certainty"]]


@pytest.mark.slow
def test_percentages_in_javascript(browser):
    said = in_javascript(browser, "/answer.js", "([prob, earned]) => js.percent(prob, earned)", CASES["percent"])
    assert said == [text for *_, text in CASES["percent"]]


@pytest.mark.slow
def test_words_in_javascript(browser):
    cases = [
        (
            {
                **case,
                "classes": list(case["probs"]),
                "words": words(list(case["probs"]), case["facts"], case_limits(case)),
            },
            {"probs": list(case["probs"].values()), "certainty": case["certainty"]},
        )
        for case in CASES["words"]
    ]
    answers = in_javascript(browser, "/offline/words.js", "each => js.describe(...each)", cases)
    for case, answer in zip(CASES["words"], answers):
        assert answer["verdict"] == case["verdict"], case["about"]
        assert answer["rows"] == [[label, pytest.approx(prob)] for label, prob in case["rows"]]
        assert answer["group"] == (case["groups"][0] if case["certainty"] == GROUP else [])


# The verdicts


def test_a_group_is_named_as_export_json_names_it():
    assert headline(PROBS, GROUP, BEARS, CANNOT_TELL) == VERDICT
    assert headline(PROBS, GROUP, {"subject": "bear"}, CANNOT_TELL) == "Black or grizzly, can't tell which"
    owls = {"groups": {"owl": ["barn owl", "élf owl", "tawny owl"]}}
    limits = Limits(groups=[["tawny owl", "élf owl", "barn owl"]])
    probs = {"barn owl": 0.3, "élf owl": 0.3, "tawny owl": 0.3, "stork": 0.1}
    assert headline(probs, GROUP, owls, limits) == "An owl: tawny owl, élf owl or barn owl, can't tell which"


def test_a_group_has_the_hints_of_its_classes():
    facts = {**BEARS, "hints": {"black": "No hump.", "grizzly": "A hump.", "teddy": "Seams."}}
    each = {label: {label: hint} for label, hint in facts["hints"].items()}
    assert hints(facts) == {**each, EITHER: {"black": "No hump.", "grizzly": "A hump."}}
    alone = {"grizzly": "A hump."}
    assert hints({**BEARS, "hints": alone}) == {"grizzly": alone, EITHER: alone}
    assert hints({"groups": BEARS["groups"]}) == {EITHER: {}} and hints({}) == {}


def test_no_figure_is_higher_than_what_was_earned():
    assert headline({"black": 0.999, "teddy": 0.001}, SURE, BEARS, Limits(earned=0.97)) == "Black bear, 97% sure"
    assert headline({"black": 0.941, "teddy": 0.059}, SURE, BEARS, Limits(earned=0.97)) == "Black bear, 94% sure"
    assert percent(1) == percent(1, earned=1) == "99%"
    assert shown_probs({"black": 0.999, "teddy": 0.001}, SURE, Limits(earned=0.97)) == {"black": 0.97, "teddy": 0.001}
    assert shown_probs({"black": 0.999, "teddy": 0.001}, SURE, NO_LIMITS) == {"black": 0.999, "teddy": 0.001}


def test_the_bar_of_a_group_comes_first_and_is_no_longer_than_what_was_earned():
    shown = shown_probs(PROBS, GROUP, CANNOT_TELL)
    assert list(shown) == [EITHER, *PROBS] and shown[EITHER] == 0.97
    assert shown["black"] + shown["grizzly"] == pytest.approx(0.97) and shown["teddy"] == PROBS["teddy"]
    assert shown["black"] / shown["grizzly"] == pytest.approx(PROBS["black"] / PROBS["grizzly"])
    assert shown_probs(PROBS, SURE, CANNOT_TELL) == PROBS


# Everything that shows them


def write_model(folder):
    """Write an export that answers with a group about the example `BLACK`. Also write its facts and example photos."""
    learn = open_export(ROOT / "export.pkl")
    probs = Classifier(ROOT / "export.pkl").ask([open_photo(BLACK)])[0][0]
    likely = (probs["black"] + sum(probs[label] for label in ("black", "grizzly"))) / 2
    assert probs["black"] < likely < 1
    learn.ood |= {"likely": likely, "earned": 0.97, "groups": [[0, 1]]}
    export(learn, folder / "export.pkl")
    facts = json.loads((ROOT / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps(facts | {"groups": BEARS["groups"]}))
    shutil.copytree(ROOT / "examples", folder / "examples")


@pytest.fixture(scope="module")
def group_model(once):
    return once("group_model", write_model) / "export.pkl"


@pytest.fixture(scope="module")
def group_server(group_model, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "log", "--model", str(group_model))
    server.wait_for("The model is ready", 120)
    yield server
    server.close()


@pytest.fixture(scope="module")
def group_site(group_model, runtime, tmp_path_factory):
    """Build the offline version of `group_model`, and serve it."""
    folder = tmp_path_factory.mktemp("site")
    for name, data in build(group_model, False, [], lambda words: None).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    host = Host(folder)
    yield host
    host.stop()


@pytest.mark.slow
def test_the_keys_travel_in_the_export_and_need_no_trust(group_model):
    assert open_export(group_model).ood["groups"] == [[0, 1]]
    assert Classifier(group_model).limits == CANNOT_TELL


@pytest.mark.slow
def test_programs_are_told(group_server):
    client = Client(group_server.url, verbose=False)
    label, verdict, _, answer = client.predict(handle_file(BLACK), api_name="/predict")
    assert (verdict, answer, label["label"]) == (PROBABLY, "group", EITHER)
    assert [c["label"] for c in label["confidences"]] == [EITHER, "black", "grizzly", "teddy"]
    assert max(c["confidence"] for c in label["confidences"]) == 0.97
    body = {"data": [{**upload(group_server, BLACK.read_bytes()), **FILE_DATA}]}
    url = f"{group_server.url}/gradio_api/call/classify_frame"
    event = requests.post(url, json=body, timeout=30).json()["event_id"]
    text = requests.get(f"{url}/{event}", timeout=60).text
    [seen] = json.loads(text.partition("data: ")[2].partition("\n")[0])
    assert (seen["verdict"], seen["certainty"], seen["group"]) == (PROBABLY, "group", ["black", "grizzly"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "where, screen",
    [("group_server", DESKTOP), ("group_server", PHONE), ("group_site", PHONE)],
    ids=["desktop", "phone", "offline"],
)
def test_both_pages_show_the_group_and_no_higher_figure_than_was_earned(where, screen, request, browser):
    page = browser.new_context(**screen).new_page()
    page.set_default_timeout(120_000)
    page.goto(request.getfixturevalue(where).url)
    page.get_by_label("Example: Black bear").click()
    page.locator(".verdict[role=status]").get_by_text(PROBABLY, exact=True).wait_for()
    rows = page.locator(".probs li").all_inner_texts()
    assert rows[0] == "Black or grizzly\n97%" and rows[1].startswith("Black bear\n") and len(rows) == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    assert not serious_findings(page)
    page.set_input_files("#page input[type=file]", TEDDY)
    page.locator(".verdict[role=status]").get_by_text("Teddy bear, 97% sure", exact=True).wait_for()
    assert page.locator(".probs li").first.inner_text() == "Teddy bear\n97%"
    page.context.close()


@pytest.mark.slow
def test_a_table_and_megadetectors_file_are_told(group_model, tmp_path):
    photo, card = tmp_path / "table.csv", tmp_path / "card"
    card.mkdir()
    shutil.copy(BLACK, card)
    predict.main([str(card), "--model", str(group_model), "--out", str(photo)])
    [row] = csv.DictReader(io.StringIO(photo.read_text("utf-8-sig")))
    assert (row["verdict"], row["status"]) == (PROBABLY, "group") and float(row["black"]) > float(row["grizzly"])
    found = {"category": "1", "conf": 0.9, "bbox": [0, 0, 1, 1]}
    doc = {
        "info": {},
        "detection_categories": {"1": "animal"},
        "images": [{"file": "black.jpg", "detections": [found]}],
    }
    (tmp_path / "md.json").write_text(json.dumps(doc))
    options = ["--detections", str(tmp_path / "md.json"), "--out", str(tmp_path / "named.json")]
    predict.main([str(card), "--model", str(group_model), *options])
    named = json.loads((tmp_path / "named.json").read_text())
    names = named["classification_categories"]
    scores = named["images"][0]["detections"][0]["classifications"]
    assert [names[i] for i, _ in scores] == ["bear", "possible black", "possible grizzly", "possible teddy"]
    assert scores[0][1] == pytest.approx(scores[1][1] + scores[2][1], abs=1e-3)


class Torn:
    """Stand in for a model that can't tell which bear it is."""

    def ask(self, pictures):
        return [(PROBS, GROUP, None, None)] * len(pictures)


@pytest.mark.parametrize("labels, score", [(["black", "grizzly"], 0.999), (["grizzly"], 0.32), (["teddy"], 0.0005)])
def test_which_bear_it_is_does_not_matter_to_a_watch_for_both(labels, score):
    watcher = Watcher(Torn(), labels, Rule(least=1, latest=1), whole_only=True, groups=CANNOT_TELL.groups)
    step = watcher.step(Frame(0.0, np.zeros((60, 80, 3), np.uint8)))
    [look] = step.looks
    assert look.score == pytest.approx(score) and look.group == ["black", "grizzly"]
    assert [event["label"] for event in step.events] == ([EITHER] if score > 0.5 else [])


# Training


def test_the_bears_have_a_group_and_others_have_those_that_are_given():
    assert parse_args("", []).groups == BEARS["groups"]
    assert parse_args("", ["--data", "photos"]).groups == parse_args("", ["--lesson"]).groups == {}
    options = ["--data", "photos", "--group", "wader=heron, stork", "--group", "barn owl,tawny owl"]
    groups = {"wader": ["heron", "stork"], "barn owl or tawny owl": ["barn owl", "tawny owl"]}
    assert parse_args("", options).groups == groups


@pytest.mark.parametrize("hint", ["fox", "fox=", "=A fox has a bushy tail.", " = "])
def test_hints_that_cannot_be_meant_are_refused(hint, capsys):
    with pytest.raises(SystemExit):
        parse_args("", ["--data", "photos", "--hint", hint])
    assert "is not a hint; give one like 'fox=A fox has a bushy tail.'" in capsys.readouterr().err


def test_each_mark_is_about_words_of_a_hint_and_is_on_the_photo():
    facts = json.loads((ROOT / "export.json").read_text())
    assert parse_args("", []).marks == facts["marks"] == photo_words(facts)["marks"]
    assert facts["marks"].keys() == facts["hints"].keys() and parse_args("", ["--data", "photos"]).marks == {}
    assert parse_args("", ["--out", "elsewhere"]).marks == {}  # training saves its own examples there
    for label, marks in facts["marks"].items():
        assert all(words in facts["hints"][label] and 0 < x < 1 and 0 < y < 1 for words, (x, y) in marks.items())


def test_the_bears_have_hints_and_others_have_those_that_are_given():
    assert parse_args("", []).hints == json.loads((ROOT / "export.json").read_text())["hints"]
    assert parse_args("", ["--data", "photos"]).hints == {}
    options = ["--data", "photos", "--hint", "heron = Its neck is an S.", "--hint", "stork=Its beak is red."]
    assert parse_args("", options).hints == {"heron": "Its neck is an S.", "stork": "Its beak is red."}


@pytest.mark.parametrize(
    "groups, sentence",
    [
        (["black"], "black is not a group of two or more classes; give one like bear=black,grizzly"),
        (["bear=black"], "not a group of two or more classes"),
        (["=black,grizzly"], "not a group of two or more classes"),
        (["bear=black,,grizzly"], "not a group of two or more classes"),
        (["bear=black,black"], "not a group of two or more classes"),
        (["a=black,grizzly", "b=grizzly,teddy"], "given twice with the same name or class"),
        (["a=black,grizzly", "a=teddy,panda"], "given twice with the same name or class"),
    ],
)
def test_groups_that_cannot_be_meant_are_refused(groups, sentence, capsys):
    with pytest.raises(SystemExit):
        parse_args("", ["--data", "photos", *(part for group in groups for part in ("--group", group))])
    assert sentence in capsys.readouterr().err


def test_an_alarm_is_for_the_classes_that_are_named(shapes):
    files = sorted(shapes.glob("*/*.jpg"))
    assert parse_args("", ["--data", "photos", "--alarm", "disc, square"]).alarm == ["disc", "square"]
    check_labels({}, ["disc"], files)
    with pytest.raises(DataError, match=r"^--alarm: there is no class fox\. Choose from disc, square\.$"):
        check_labels({}, ["fox"], files)
    with pytest.raises(DataError, match=r"^--hint: there is no class fox\. Choose from disc, square\.$"):
        check_labels({}, None, files, {"disc": "It is round.", "fox": "It has a tail."})


def test_groups_are_of_the_classes_of_the_photos(shapes):
    files = sorted(shapes.glob("*/*.jpg"))
    check_labels({"shape": ["disc", "square"]}, None, files)
    with pytest.raises(DataError, match=r"^--group: there is no class star\. Choose from disc, square\.$"):
        check_labels({"shape": ["disc", "star"]}, None, files)
    with pytest.raises(
        DataError, match=r"^The group disc has the name of a class\. Give it another name with --group\.$"
    ):
        check_labels({"disc": ["disc", "square"]}, None, files)
