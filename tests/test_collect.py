"""Test `python -m bears.collect` with a server that answers like Openverse's API and has the photos, too."""

import csv
import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from bears.collect.__main__ import main
from bears.collect.attribution import COLUMNS, Collection
from bears.collect.openverse import openverse
from bears.collect.photos import class_folders, collect
from bears.download import Web
from bears.errors import DataError
from helpers import ROOT
from PIL import Image
from webserver import draw_photo


@pytest.fixture
def site(web_server):
    """Start the server. `site.found` is a dict from query to the paths of photos, in search order."""
    web_server.found = {}

    def search(handler):
        ask = {key: values[0] for key, values in parse_qs(urlsplit(handler.path).query).items()}
        paths, page, size = web_server.found.get(ask["q"], []), int(ask["page"]), int(ask["page_size"])
        results = [result(path) for path in paths[(page - 1) * size : page * size]]
        handler.answer(json.dumps({"results": results, "page_count": -(-len(paths) // size)}).encode())

    def result(path):
        about = {"title": f"A “{path}”,\nnew \ud83d", "creator": None, "license": "by-sa", "license_version": "4.0"}
        links = {"license_url": "https://creativecommons.org/licenses/by-sa/4.0/", "foreign_landing_url": "https://a.b"}
        return {**about, **links, "url": web_server.url(path), "id": "more than we need"}

    web_server.pages["/v1/images/"] = search
    return web_server


def add_photos(site, query, count, start=0):
    paths = [f"/{query}/{i}.jpg" for i in range(start, start + count)]
    site.pages |= {path: draw_photo(sum(path.encode()) * 1000 + i) for i, path in enumerate(paths)}
    site.found[query] = paths


def run(site, folder, *args, seconds=5):
    search = partial(openverse, api=site.url("/v1/images/"), pause=0)
    with Web([site.server_address], seconds, pauses=[0.01]) as web:
        main([*map(str, args), "--out", str(folder)], web=web, search=search)


def fails(*args):
    with pytest.raises(SystemExit) as exit:
        run(*args)
    message = str(exit.value)
    assert message.startswith("bears.collect: ") and "\n" not in message
    return message


def read_attribution(folder):
    """Return the lines of attribution.csv, after a check that they and the photos agree."""
    with (folder / "attribution.csv").open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert sorted(row["file"] for row in rows) == sorted(f.relative_to(folder).as_posix() for f in folder.glob("*/*"))
    return rows


def searches(site):
    return [path for path in site.asked if path.startswith("/v1/images/")]


def test_collects_a_folder_per_search_and_who_made_each_photo(site, tmp_path, capsys):
    add_photos(site, "grizzly bear", 45)
    add_photos(site, "teddy bear", 3)
    run(site, tmp_path / "new" / "bears", "grizzly bear", "teddy bear", "--per-class", 42)
    rows = read_attribution(tmp_path / "new" / "bears")
    assert [row["file"].split("/")[0] for row in rows] == ["grizzly bear"] * 42 + ["teddy bear"] * 3
    assert rows[0]["title"] == "A “/grizzly bear/0.jpg”, new ?" and rows[0]["creator"] == ""
    assert rows[0]["license"] == "by-sa 4.0" and rows[0]["url"] == site.url("/grizzly bear/0.jpg")
    assert "grizzly bear: 42 photos" in capsys.readouterr().out
    assert len(searches(site)) == 4
    with Image.open(tmp_path / "new" / "bears" / rows[0]["file"]) as im:
        assert (im.format, im.mode, max(im.size)) == ("JPEG", "RGB", 512)


def test_dead_link_costs_one_line_and_the_next_photo_takes_its_place(site, tmp_path, capsys):
    add_photos(site, "bear", 30)
    site.pages["/bear/0.jpg"] = b"<html>Not found</html>"
    site.pages["/bear/1.jpg"] = lambda handler: handler.answer(b"", 302, {"Location": "http://10.0.0.1/"})
    site.pages["/bear/2.jpg"] = lambda handler: handler.answer(b"", 429, {"Retry-After": 3600})
    site.pages["/bear/3.jpg"] = lambda handler: time.sleep(1.2)
    site.pages["/bear/4.jpg"] = draw_photo(0, format="PNG")
    site.found["bear"][5] = "/missing\x1b.jpg"
    run(site, tmp_path, "bear", "--per-class", 20, seconds=0.5)
    urls = [row["url"] for row in read_attribution(tmp_path)]
    assert urls == [site.url(f"/bear/{i}.jpg") for i in (4, *range(6, 25))]
    lines = capsys.readouterr().out.splitlines()
    assert sum("http://" in line for line in lines) == 5
    assert not any("\x1b" in line for line in lines)


def test_second_run_fetches_only_what_is_missing(site, tmp_path):
    add_photos(site, "bear", 12)
    run(site, tmp_path, "bear", "--per-class", 5)
    site.asked.clear()
    run(site, tmp_path, "bear", "--per-class", 5)
    assert not site.asked
    run(site, tmp_path, "bear", "--per-class", 8)
    assert len(site.asked) == 1 + 3
    assert len(read_attribution(tmp_path)) == 8


def test_same_photo_is_kept_once_and_in_the_first_class(site, tmp_path, capsys):
    add_photos(site, "black bear", 3)
    add_photos(site, "teddy bear", 2)
    site.pages["/black bear/copy.jpg"] = site.pages["/teddy bear/copy.jpg"] = site.pages["/black bear/0.jpg"]
    site.found["black bear"] += ["/black bear/copy.jpg", "/black bear/0.jpg"]
    site.found["teddy bear"] += ["/teddy bear/copy.jpg", "/black bear/1.jpg"]
    run(site, tmp_path, "black bear", "teddy bear")
    assert [row["file"].split("/")[0] for row in read_attribution(tmp_path)] == ["black bear"] * 3 + ["teddy bear"] * 2
    assert capsys.readouterr().out.count("also came up for teddy bear") == 2


SCRIPT = """
import sys
from functools import partial
from bears.collect.__main__ import main
from bears.collect.openverse import openverse
from bears.download import Web

api, port, *args = sys.argv[1:]
main(args, web=Web([("127.0.0.1", int(port))]), search=partial(openverse, api=api, pause=0))
"""


@pytest.fixture
def half_run(site, tmp_path):
    """Start a run with 30 photos, for a test to interrupt. Some photos come at once, and one never comes."""
    add_photos(site, "bear", 30)
    photo = site.pages["/bear/12.jpg"]
    site.pages["/bear/12.jpg"] = lambda handler: time.sleep(20)
    args = [site.url("/v1/images/"), str(site.server_port), "bear", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *args], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(list((tmp_path / "out" / "bear").glob("*.jpg"))) < 12:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    yield process, tmp_path / "out"
    process.kill()
    process.communicate()
    site.pages["/bear/12.jpg"] = photo
    run(site, tmp_path / "out", "bear")
    assert len(read_attribution(tmp_path / "out")) == 30


@pytest.mark.slow
def test_ctrl_c_keeps_what_has_come_and_the_next_run_goes_on(half_run):
    process, folder = half_run
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)  # less than the slow photo takes
    assert process.returncode == 1 and "Traceback" not in err
    assert err.strip() == "bears.collect: stopped. Downloaded photos are kept; run the same command again to continue."
    assert len(read_attribution(folder)) == 12


@pytest.mark.slow
def test_killed_run_goes_on_too(half_run):
    half_run[0].kill()


def test_line_without_its_photo_is_dropped(site, tmp_path):
    add_photos(site, "bear", 3)
    run(site, tmp_path, "bear")
    (tmp_path / read_attribution(tmp_path)[0]["file"]).unlink()
    site.found["bear"] = []
    run(site, tmp_path, "bear")
    assert len(read_attribution(tmp_path)) == 2


def test_photo_without_its_line_gets_it_back(site, tmp_path):
    add_photos(site, "bear", 3)
    run(site, tmp_path, "bear")
    rows = read_attribution(tmp_path)
    (tmp_path / "attribution.csv").unlink()
    run(site, tmp_path, "bear")
    assert read_attribution(tmp_path) == rows


def test_photo_of_your_own_stays(site, tmp_path):
    add_photos(site, "bear", 3)
    (tmp_path / "bear").mkdir()
    (tmp_path / "bear" / "mine.jpg").write_bytes(b"mine")
    run(site, tmp_path, "bear")
    assert (tmp_path / "bear" / "mine.jpg").read_bytes() == b"mine"
    assert len(list((tmp_path / "bear").iterdir())) == 4


def test_search_waits_when_it_is_told_to_and_says_so(site, tmp_path, capsys):
    add_photos(site, "bear", 1)
    search, busy = site.pages["/v1/images/"], [True]
    site.pages["/v1/images/"] = lambda handler: (
        handler.answer(b"", 429, {"Retry-After": 1}) if busy and busy.pop() else search(handler)
    )
    run(site, tmp_path, "bear")
    assert len(read_attribution(tmp_path)) == 1
    assert "127.0.0.1 asked us to wait 1 second" in capsys.readouterr().out


def test_search_stops_at_what_openverse_gives(site):
    site.found["bear"] = [f"/{i}" for i in range(500)]
    with Web([site.server_address]) as web:
        assert len(list(openverse("bear", web, site.url("/v1/images/"), pause=0))) == 240
    assert len(site.asked) == 12


def test_pages_are_asked_for_at_a_polite_pace(site):
    site.found["bear"] = [f"/{i}" for i in range(60)]
    start = time.monotonic()
    with Web([site.server_address]) as web:
        list(openverse("bear", web, site.url("/v1/images/"), pause=0.3))
    assert time.monotonic() - start >= 0.6 and len(site.asked) == 3


@pytest.mark.parametrize("page", [b"<html>Welcome to the hotel</html>", b"[]", b'{"results": null}', None])
def test_search_that_fails_is_one_sentence(site, tmp_path, page):
    site.pages["/v1/images/"] = page
    assert "the search failed" in fails(site, tmp_path, "bear")


def test_no_network_is_one_sentence(site, tmp_path):
    site.close()
    assert "no answer" in fails(site, tmp_path, "bear")


def test_another_source_needs_only_addresses(site, tmp_path):
    add_photos(site, "bear", 2)
    photos = [{"url": site.url(path)} for path in site.found["bear"]]
    collect(["bear"], tmp_path, web=Web([site.server_address]), search=lambda query, web: iter(photos))
    assert [row["license"] for row in read_attribution(tmp_path)] == ["", ""]


@pytest.mark.parametrize(
    ("query", "label"),
    [
        ("grizzly bear", "grizzly bear"),
        ("../../etc/passwd", "etc passwd"),
        ("-rf ~", "rf"),
        ("AC/DC: live?", "AC DC live"),
        ("медведь", "медведь"),
        ("bär." * 50, ("bär " * 15).strip()),
    ],
)
def test_name_of_a_folder_is_safe(query, label):
    assert class_folders([query]) == {label: query}


@pytest.mark.parametrize("queries", [["?"], ["NUL"], ["com1."], ["Bear", "bear"], ["black/bear", "black bear"]])
def test_search_that_makes_no_folder_of_its_own_is_refused(queries):
    with pytest.raises(DataError):
        class_folders(queries)


def test_folder_that_cannot_be_written_to(site, tmp_path):
    (tmp_path / "file").touch()
    assert "--out" in fails(site, tmp_path / "file", "bear")
    assert not site.asked


@pytest.mark.parametrize("text", ["file,license\na/b.jpg,by\n", "\xff", ",".join(COLUMNS) + "\na/b.jpg\n"])
def test_attribution_of_another_kind_is_left_alone(site, tmp_path, text):
    (tmp_path / "attribution.csv").write_bytes(text.encode("latin-1"))
    assert "Move it elsewhere" in fails(site, tmp_path, "bear")
    assert (tmp_path / "attribution.csv").read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("number", ["0", "241"])
def test_number_of_photos_that_openverse_cannot_give(site, tmp_path, number, capsys):
    with pytest.raises(SystemExit):
        run(site, tmp_path, "bear", "--per-class", number)
    assert "between 1 and 240" in capsys.readouterr().err


@pytest.mark.slow
def test_collecting_needs_no_torch():
    code = "import sys, bears.collect.photos; sys.exit(bool({'torch', 'fastai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_photos_that_were_moved_keep_their_lines_and_are_not_fetched_again(tmp_path):
    collection = Collection(tmp_path)
    for name in "ab":
        collection.keep("disc", {"url": f"https://{name}", "title": "two\rlines"}, name * 64, b"jpeg")
    for file, goal in ((f"{'a' * 16}.jpg", "set-aside/disc"), (f"{'b' * 16}.jpg", "square")):
        (tmp_path / goal).mkdir(parents=True)
        (tmp_path / "disc" / file).rename(tmp_path / goal / file)
    again = Collection(tmp_path)
    assert [Path(file).parent.as_posix() for file in again.rows] == ["set-aside/disc", "square"]
    assert again.count("disc") == 0 and again.count("square") == 1
    assert again.has("https://a", "disc") and again.has("https://b", "square")
    assert {row["title"] for row in again.rows.values()} == {"two lines"}
