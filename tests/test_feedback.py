"""Test `app --feedback`: feedback is kept, photos only if visitors allow it, and nobody can fill the disk."""

import codecs
import csv
import io
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import requests
from bears.app import feedback as module
from bears.app.feedback import ANSWERS, PHOTOS, Feedback, create_feedback
from bears.app.feedback_hub import Uploads
from bears.errors import ExportError, PhotoError
from bears.model.answers import GROUP, NO_LIMITS, NONE, SURE
from bears.model.photo import open_photo
from bears.photos import NONE_OF_THESE, NOT_KNOWN
from gradio_client import Client, handle_file
from helpers import GPS, ROOT, Server, upload, wait_until
from PIL import Image


class Learn:
    """Replace a `LearnerProcess`: answer "disc" for every photo."""

    certainty = SURE

    def __init__(self):
        self.decode_workers = self

    def predict(self, file, explain):
        return {"disc": 0.9, "square": 0.1}, self.certainty, None, NO_LIMITS

    def open(self, file, hung_up, **options):
        return open_photo(file, **options)


@pytest.fixture
def photo(tmp_path):
    exif = Image.Exif()
    exif[GPS] = {1: "N", 2: (46.0, 30.0, 0.0)}
    Image.new("RGB", (3000, 1500), "teal").save(tmp_path / "mine.jpg", exif=exif, comment="at home")
    return tmp_path / "mine.jpg"


@pytest.fixture
def feedback(tmp_path):
    return Feedback(str(tmp_path / "feedback"), ROOT / "export.pkl", ["disc", "square"])


@pytest.fixture
def give(feedback, photo):
    def give(label="yes", keep=True, who="10.0.0.1", learn=None, session=""):
        return feedback.give(learn or Learn(), photo, label, keep, who, session)

    return give


def rows(file):
    with file.open(newline="") as f:
        return list(csv.DictReader(f))


def photos(folder):
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*.jpg"))


def test_a_photo_that_may_be_kept_is_small_and_says_nothing_about_its_camera(feedback, give):
    said = give("square")
    assert said["kept"] and "this photo are kept" in said["says"]
    [name] = photos(feedback.folder)
    assert name == f"unreviewed/square/{said['id']}.jpg"
    with Image.open(feedback.folder / name) as im:
        assert im.size == (1024, 512) and not im.getexif() and "comment" not in im.info
    [row] = rows(feedback.folder / "unreviewed" / "metadata.csv")
    assert tuple(row) == PHOTOS and row["file_name"] == f"square/{said['id']}.jpg"
    assert (row["visitor"], row["answer"], row["certainty"], row["probability"]) == ("square", "disc", "sure", "0.9")
    [answer] = rows(feedback.folder / "answers.csv")
    assert tuple(answer) == ANSWERS and answer["model"] == feedback.version and len(feedback.version) == 12
    assert stat.S_IMODE((feedback.folder / "unreviewed").stat().st_mode) == 0o700


def test_without_permission_the_answer_alone_is_counted(feedback, give):
    assert not give(keep=False)["kept"]
    assert photos(feedback.folder) == [] and not (feedback.folder / "unreviewed" / "metadata.csv").exists()
    assert [row["visitor"] for row in rows(feedback.folder / "answers.csv")] == ["disc"]


@pytest.mark.parametrize("certainty, confirmed", [(SURE, "disc"), (NONE, NONE_OF_THESE), (GROUP, NOT_KNOWN)])
def test_a_yes_confirms_what_was_said_but_no_class_of_a_group(feedback, give, certainty, confirmed):
    learn = Learn()
    learn.certainty = certainty
    give(keep=False, learn=learn)
    assert rows(feedback.folder / "answers.csv")[0]["visitor"] == confirmed


def test_feedback_can_be_taken_back_by_who_has_given_it(feedback, give):
    first, second = give(), give("square")
    for wrong in ("", "0" * 32, "../" + second["id"][3:], "*" * 32, None, 7, ["a"]):
        assert "nothing to undo" in feedback.undo(wrong)["says"]
    assert "Undone" in feedback.undo(first["id"])["says"]
    assert photos(feedback.folder) == [f"unreviewed/square/{second['id']}.jpg"]
    assert len(rows(feedback.folder / "answers.csv")) == len(rows(feedback.folder / "unreviewed" / "metadata.csv")) == 1
    assert "nothing to undo" in feedback.undo(first["id"])["says"]


def test_feedback_can_be_taken_back_after_a_spreadsheet_has_saved_the_tables(feedback, give):
    first, second = give(), give("square")
    tables = feedback.folder / "answers.csv", feedback.folder / "unreviewed" / "metadata.csv"
    for table in tables:
        table.write_bytes(codecs.BOM_UTF8 + table.read_bytes())
    assert "Undone" in feedback.undo(first["id"])["says"]
    for table in tables:
        [left] = rows(table)
        assert second["id"] in left.values() or left["file_name"] == f"square/{second['id']}.jpg"


def test_feedback_can_be_taken_back_after_the_host_has_reviewed_it(feedback, give):
    given = give()
    [kept] = (feedback.folder / "unreviewed").rglob("*.jpg")
    reviewed = feedback.folder / "reviewed" / "disc" / kept.name
    reviewed.parent.mkdir(parents=True)
    kept.rename(reviewed)
    assert "Undone" in feedback.undo(given["id"])["says"]
    assert photos(feedback.folder) == [] == rows(feedback.folder / "unreviewed" / "metadata.csv")


def test_one_visitor_cannot_fill_it(feedback, give, monkeypatch):
    monkeypatch.setattr(module, "PER_HOUR", 4)
    monkeypatch.setattr(module, "MAX_OF_ONE", 2)
    assert [give()["kept"] for _ in range(4)] == [True, True, False, False]
    with pytest.raises(PhotoError, match="come back later"):
        give()
    assert give(who="10.0.0.2")["kept"]
    monkeypatch.setattr(module, "ALL_PER_HOUR", 5)
    with pytest.raises(PhotoError, match="come back later"):
        give(who="10.0.0.3")


def test_all_visitors_together_cannot_fill_it(feedback, give, monkeypatch):
    monkeypatch.setattr(module, "MAX_PHOTOS", 3)
    assert [give(who=str(i))["kept"] for i in range(5)] == [True, True, True, False, False]
    assert len(rows(feedback.folder / "answers.csv")) == 5
    monkeypatch.setattr(module, "MAX_ROWS", 100)
    assert give(who="another") == {"id": None, "kept": False, "says": module.NO_ROOM}


def test_visitors_behind_a_proxy_have_a_share_each_and_leave_one_to_other_addresses(give, monkeypatch):
    for name, most in (("PER_HOUR", 2), ("PER_HOUR_OF_A_PROXY", 5), ("MAX_OF_ONE", 1), ("MAX_OF_A_PROXY", 2)):
        monkeypatch.setattr(module, name, most)
    kept = [give(session=session)["kept"] for session in ("one", "one", "two", "two", "three")]
    assert kept == [True, False, True, False, False]
    for session in ("one", "three", "four"):  # its own share, and that of its proxy
        with pytest.raises(PhotoError, match="come back later"):
            give(session=session)
    assert give(who="10.0.0.2")["kept"]


def test_no_more_visitors_are_remembered_than_there_is_memory_for(monkeypatch):
    monkeypatch.setattr(module, "MAX_VISITORS", 3)
    visitors = module.Visitors()
    for i in range(9):
        visitors.may_speak(i)
        visitors.has_kept(i)
    assert len(visitors.times) == len(visitors.kept) == 3


def test_a_full_disk_costs_the_feedback_and_nothing_else(feedback, give, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=module.RESERVE))
    assert not give()["kept"] and photos(feedback.folder) == []

    monkeypatch.undo()
    append = module.append

    def full(file, *args):
        if file.name == "answers.csv":  # the last of three files
            raise OSError(28, "No space left on device")
        append(file, *args)

    monkeypatch.setattr(module, "append", full)
    assert give()["says"] == module.NO_ROOM and photos(feedback.folder) == []
    assert rows(feedback.folder / "unreviewed" / "metadata.csv") == []


def test_a_row_that_does_not_fit_leaves_no_half(tmp_path, monkeypatch):
    file = tmp_path / "rows.csv"
    module.append(file, ["a"], {"a": "1"})
    before = file.read_bytes()

    class Full(io.TextIOWrapper):
        def write(self, text):
            super().write("half")
            self.flush()
            raise OSError(28, "No space left on device")

    with file.open("ab") as out, monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("pathlib.Path.open", lambda *args, **kwargs: Full(out))
        module.append(file, ["a"], {"a": "2"})
    assert file.read_bytes() == before


@pytest.mark.parametrize("label", ["bear", "", "../disc", "/etc", None, 1, ["disc"], {"a": 1}])
def test_only_what_the_page_offers_is_a_label(feedback, give, label):
    with pytest.raises(PhotoError, match="yes, “none of these”, “I don't know”, or one of the classes: disc, square"):
        give(label)
    assert not (feedback.folder / "answers.csv").exists()


NO_FOLDER, NO_CLASS = "can't be the name of a folder", "has the same name as a button"


@pytest.mark.parametrize(
    ("label", "why"),
    [
        *((label, NO_FOLDER) for label in ("../up", "a/b", "..", "", "a\\b", "a\0b")),
        *((label, NO_CLASS) for label in ("yes", "none of these", "I don't know")),
    ],
)
def test_a_class_that_can_be_no_folder_or_means_something_else_is_refused(tmp_path, label, why):
    with pytest.raises(ExportError, match=f"The class .* {why}.* Leave out --feedback, or give the class another name"):
        Feedback(str(tmp_path), ROOT / "export.pkl", ["disc", label])


@pytest.mark.parametrize("place", ["hf://datasets/mine", "hf://datasets/a/b/c", "hf://datasets/my name/b"])
def test_no_data_set_is_one_sentence(place):
    with pytest.raises(SystemExit, match=r"app\.py: .* is not a data set"):
        create_feedback(place, ROOT / "export.pkl", {"classes": ["disc"]})


def test_what_a_spreadsheet_would_run_is_no_formula(tmp_path, photo):
    feedback = Feedback(str(tmp_path / "feedback"), ROOT / "export.pkl", ["=1+1", "disc"])
    feedback.give(Learn(), photo, "=1+1", False, "")
    assert rows(feedback.folder / "answers.csv")[0]["visitor"] == "'=1+1"


# On the Hub


@contextmanager
def uploads(folder):
    made = Uploads("hf://datasets/me/feedback", folder, every=1000)
    try:
        yield made
    finally:
        if made.scheduler:
            made.scheduler.stop()
            made.scheduler.api.run_as_future(lambda: None).result(60)  # wait for everything that was started before


def test_feedback_arrives_in_a_private_data_set_of_the_host(hub, feedback, give):
    with uploads(feedback.folder) as feedback.uploads:
        wait_until(lambda: feedback.uploads.scheduler, seconds=30)
        assert hub.created["type"] == "dataset" and hub.created["visibility"] == "private"
        first, second = give("square"), give()
        assert feedback.uploads.push()
        run = feedback.uploads.run
        kept = {f"{run}/unreviewed/square/{first['id']}.jpg", f"{run}/unreviewed/disc/{second['id']}.jpg"}
        assert set(hub.files) == kept | {f"{run}/answers.csv", f"{run}/unreviewed/metadata.csv"}
        name = f"{run}/unreviewed/square/{first['id']}.jpg"
        assert hub.contents[name] == (feedback.folder / "unreviewed" / "square" / f"{first['id']}.jpg").read_bytes()
        feedback.undo(first["id"])
        assert feedback.uploads.push() and name not in hub.files
        feedback.close()
        assert not feedback.folder.exists()


def test_a_hub_that_is_away_costs_nothing_and_feedback_is_sent_later(hub, feedback, give, monkeypatch, capsys):
    monkeypatch.setattr("bears.app.feedback_hub.AGAIN", 0.1)
    hub.status = 503
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with uploads(feedback.folder) as feedback.uploads:
        assert give()["kept"] and not feedback.uploads.push()
        hub.status = 200
        wait_until(lambda: feedback.uploads.scheduler, seconds=30)
        assert feedback.uploads.push() and any(name.endswith(".jpg") for name in hub.files)
        hub.status = 500
        assert give()["kept"]
        feedback.close()
        assert feedback.folder.exists() and "was not sent" in capsys.readouterr().out


# In the app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("feedback")


@pytest.fixture(scope="module")
def app(folder):
    server = Server(folder / "log", "--feedback", str(folder / "kept"))
    server.wait_for("The model is ready", 60)
    yield server
    server.close()


@pytest.mark.slow
def test_programs_can_give_feedback_and_take_it_back(app, folder):
    client = Client(app.url, verbose=False)
    photo = handle_file(ROOT / "examples" / "teddy.jpg")
    said = client.predict(photo, "grizzly", True, api_name="/feedback")
    assert said["kept"] and photos(folder / "kept") == [f"unreviewed/grizzly/{said['id']}.jpg"]
    assert rows(folder / "kept" / "unreviewed" / "metadata.csv")[0]["answer"] == "teddy"
    kept = folder / "kept" / "unreviewed" / "grizzly" / f"{said['id']}.jpg"
    for name in (kept, os.path.relpath(kept)):  # it can't be downloaded
        assert requests.get(f"{app.url}/gradio_api/file={name}", timeout=30).status_code in (403, 404)
    assert "Undone" in client.predict(said["id"], api_name="/undo_feedback")["says"]
    client.close()
    assert photos(folder / "kept") == []


@pytest.mark.slow
def test_plain_http_is_enough_and_a_file_of_the_server_is_no_photo(app, folder):
    url = f"{app.url}/gradio_api/call/feedback"

    def send(photo, *more):
        asked = requests.post(url, json={"data": [photo, *more]}, timeout=30)
        return requests.get(f"{url}/{asked.json()['event_id']}", timeout=60).text

    photo = upload(app, (ROOT / "examples" / "teddy.jpg").read_bytes())
    assert "Your answer is counted" in send(photo, "yes", False)
    assert rows(folder / "kept" / "answers.csv")[-1]["visitor"] == "teddy"
    assert "one of the classes" in send(photo, "../../etc", True)
    stolen = {**photo, "path": str(ROOT / "examples" / "none.jpg")}
    assert "upload the photo itself" in send(stolen, "yes", True) and photos(folder / "kept") == []


@pytest.mark.slow
def test_each_page_behind_a_proxy_is_a_visitor_of_its_own(app):
    # The app takes this machine's own address for a proxy.
    url, photo = f"{app.url}/gradio_api/call/feedback", upload(app, (ROOT / "examples" / "teddy.jpg").read_bytes())

    def send(session):
        asked = requests.post(f"{url}?session={session}", json={"data": [photo, "yes", False]}, timeout=30)
        return requests.get(f"{url}/{asked.json()['event_id']}", timeout=60).text

    with ThreadPoolExecutor(4) as pool:
        assert all("Your answer is counted" in text for text in pool.map(send, ["one"] * module.PER_HOUR))
    assert "a lot of feedback" in send("one") and "Your answer is counted" in send("two")


@pytest.mark.slow
def test_without_the_option_there_is_nothing_of_it(server):
    assert "/feedback" not in requests.get(f"{server.url}/gradio_api/info", timeout=30).text
