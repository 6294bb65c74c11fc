"""Test `python train.py` without --data: it downloads the shipped model's photos, here from a local server."""

import csv
import hashlib
import json
import re
import socket
from functools import partial

import pytest
from bears.download import Web
from bears.errors import DataError
from bears.learning.data import read_excluded
from bears.train.shipped_model import EXCLUDED
from bears.train.shipped_photos import PHOTOS, shipped_photos
from helpers import ROOT
from PIL import Image
from webserver import draw_photo

import train

HEADER = "label,file,url,sha256,bytes\n"
GONE = [404, 410, 403]


@pytest.fixture
def fetch(web_server, tmp_path):
    """Return a function that calls `shipped_photos` for a table of drawn photos on the local server."""
    table = tmp_path / "photos.csv"

    def add(label, name, data):
        path = f"/{label}/{name}.jpg"
        web_server.pages[path] = data
        with table.open("a") as f:
            f.write(f"{label},{path[1:]},{web_server.url(path)},{hashlib.sha256(data).hexdigest()},{len(data)}\n")

    def fetch():
        with Web([web_server.server_address], pauses=[0.01]) as web:
            return shipped_photos(table, tmp_path / "root", web)

    table.write_text(HEADER)
    for i in range(6):
        add("black", f"b{i}", draw_photo(i, (900, 600)))
        add("teddy", f"t{i}", draw_photo(100 + i))
    fetch.add = add
    return fetch


def names(folder):
    return sorted(f.relative_to(folder).as_posix() for f in folder.glob("*/*"))


def test_every_row_of_the_table_is_well_formed():
    with PHOTOS.open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert len({row["file"] for row in rows}) == len({row["sha256"] for row in rows}) == len(rows) == 873
    for row in rows:
        assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w.%/-]+", row["url"])
        assert re.fullmatch(r"[0-9a-f]{64}", row["sha256"])
        assert re.fullmatch(rf"{row['label']}/[0-9a-f]{{12}}\.jpg", row["file"])
        assert min(int(row[column]) for column in ("bytes", "width", "height")) > 0


def test_table_has_the_photos_of_the_shipped_model():
    with PHOTOS.open(newline="") as f:
        files = {row["file"] for row in csv.DictReader(f)}
    facts, left_out = (
        json.loads((ROOT / "export.json").read_text()),
        read_excluded(EXCLUDED),
    )
    assert left_out.keys() <= files and left_out == facts["dropped"]
    counts = {label: sum(f.startswith(f"{label}/") for f in files - left_out.keys()) for label in facts["classes"]}
    assert counts == facts["counts"]


def test_fetches_small_photos_into_a_folder_per_class(fetch):
    folder = fetch()
    assert names(folder) == sorted(f"{label}/{label[0]}{i}.jpg" for label in ("black", "teddy") for i in range(6))
    with Image.open(folder / "black" / "b0.jpg") as im:
        assert (im.format, im.mode, im.size) == ("JPEG", "RGB", (512, 341))


def test_second_run_needs_no_network(fetch, web_server):
    first = fetch()
    pixels = (first / "black" / "b0.jpg").read_bytes()
    asked = list(web_server.asked)
    assert fetch() == first and web_server.asked == asked
    web_server.close()
    assert (fetch() / "black" / "b0.jpg").read_bytes() == pixels


def test_photos_that_are_gone_or_others_are_reported_and_not_used(fetch, web_server, capsys):
    web_server.pages["/black/b0.jpg"] = draw_photo(7)
    for i, status in enumerate(GONE):
        web_server.pages[f"/teddy/t{i}.jpg"] = lambda handler, status=status: handler.answer(b"", status)
    folder = fetch()
    out = capsys.readouterr().out
    assert "without black/b0.jpg: the file has changed since the list was made" in out
    assert all(f"without teddy/t{i}.jpg: the server answers {status}" in out for i, status in enumerate(GONE))
    assert len(names(folder)) == 12 - 1 - len(GONE)
    web_server.close()
    assert fetch() == folder
    assert "photos of an earlier run" in capsys.readouterr().out


def test_long_list_of_gone_photos_is_cut(fetch, web_server, capsys):
    for i in range(20):
        fetch.add("grizzly", f"g{i}", draw_photo(200 + i))
    for i in range(18):
        del web_server.pages[f"/grizzly/g{i}.jpg"]
    assert len(names(fetch())) == 14
    assert "without grizzly/g9.jpg" in (out := capsys.readouterr().out)
    assert "and without 8 more" in out


def test_class_that_is_gone_is_refused(fetch, web_server):
    for i in range(5):
        del web_server.pages[f"/teddy/t{i}.jpg"]
    with pytest.raises(DataError, match="Only 1 photos of the class teddy"):
        fetch()


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: draw_photo(9)])
def test_damaged_photo_in_the_cache_is_fetched_again(fetch, web_server, damage):
    file = fetch() / "black" / "b0.jpg"
    good = file.read_bytes()
    with file.open("r+b") as f:  # in place, so that the linked file in the cache changes, too
        f.write(damaged := damage(good))
        f.truncate(len(damaged))
    web_server.asked.clear()
    assert (fetch() / "black" / "b0.jpg").read_bytes() == good
    assert web_server.asked == ["/black/b0.jpg"]


def test_damaged_photo_that_is_gone_is_not_used(fetch, web_server):
    file = fetch() / "black" / "b0.jpg"
    with file.open("r+b") as f:
        f.truncate(1000)
    del web_server.pages["/black/b0.jpg"]
    assert "black/b0.jpg" not in names(fetch())


def test_server_that_has_had_enough_stops_the_run_and_the_next_goes_on(fetch, web_server):
    pages = dict(web_server.pages)
    for path in list(pages)[6:]:
        web_server.pages[path] = lambda handler: handler.answer(b"", 429, {"Retry-After": 99999})
    with pytest.raises(DataError, match=r"429.*run the command again to continue"):
        fetch()
    web_server.pages = pages
    web_server.asked.clear()
    assert len(names(fetch())) == 12
    assert not set(web_server.asked) & set(list(pages)[:6])


def test_folder_without_hard_links_gets_copies(fetch, tmp_path, monkeypatch):
    def no_links(*args):
        raise OSError("not on this file system")

    monkeypatch.setattr("os.link", no_links)
    assert len(names(fetch())) == 12


def test_train_without_photos_takes_those_of_the_shipped_model(fetch, monkeypatch, capsys):
    monkeypatch.setattr(train, "shipped_photos", fetch)
    args = train.parse_args([])
    args.groups, args.hints, args.marks, args.alarm = {}, {}, {}, ["black"]  # classes that are drawn here
    files, _, facts = train.get_photos(args)
    assert args.subject == "bear" and facts["counts"] == {"black": 6, "teddy": 6}
    assert files == sorted(fetch().glob("*/*.jpg"))
    assert "excluded.csv names 16 photos that are not in" in capsys.readouterr().out


def test_train_without_photos_and_network_is_one_sentence(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    (tmp_path / "photos.csv").write_text(f"{HEADER}black,black/1.jpg,{url},{64 * '0'},1\n")
    here = partial(shipped_photos, tmp_path / "photos.csv", tmp_path / "root", Web(pauses=[0.01]))
    monkeypatch.setattr(train, "shipped_photos", here)
    with pytest.raises(SystemExit, match=r"^train.py: The photos can't be downloaded now .* Check your network .*\.$"):
        train.main(["--out", str(tmp_path / "out")])


def test_lesson_without_photos_leaves_out_the_same_photos():
    args = train.parse_args(["--lesson"])
    assert args.exclude == EXCLUDED and not args.subject
