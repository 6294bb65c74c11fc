"""Test that a Hugging Face Space can run this repository: its card, its requirements, ZeroGPU, and `deploy`."""

import base64
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from importlib.metadata import version

import pytest
import requests
import yaml
from bears.deploy import COMMIT_MESSAGE, files_to_send, main, parse_args, send
from bears.errors import DeployError
from bears.model.export import open_export
from bears.model.metadata import public
from bears.model.wording import about, camera_words, page_title
from helpers import ROOT, TRACKED, Server, answer, needs
from huggingface_hub import SpaceCard, metadata_load

TEDDY = (ROOT / "examples" / "teddy.jpg").read_bytes()
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
# The command of the Hub's builder for Spaces, from its logs.
BUILDER = [f"gradio[oauth,mcp]=={version('gradio')}", "uvicorn>=0.14.0", "websockets>=10.4", "spaces"]


def test_card_keeps_the_rules_of_the_hub():
    card = metadata_load(ROOT / "README.md")
    assert SpaceCard.load(ROOT / "README.md").data.title == card["title"]
    assert card["sdk"] == "gradio" and (ROOT / card["app_file"]).is_file()
    assert card["sdk_version"] == version("gradio")
    assert f"gradio[mcp]=={card['sdk_version']}" in (ROOT / "requirements.txt").read_text()
    assert card["python_version"] == "3.12"  # a string, since a number would turn 3.10 into 3.1
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert len(card["short_description"]) <= 60
    assert card["license"] == "apache-2.0" and card["tags"]
    assert "thumbnail" not in card  # only deploy knows its address


@pytest.mark.slow
def test_requirements_resolve_together_with_what_the_builder_installs():
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "-r",
        ROOT / "requirements.txt",
        *BUILDER,
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    if "No matching distribution" in result.stderr or "connection" in result.stderr.lower():
        pytest.skip("needs a package index")
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@needs("git's")
def test_all_that_the_page_is_made_of_is_sent():
    files = files_to_send("me/bears", ROOT / "export.pkl")
    needed = {name for name in TRACKED if name.startswith(("bears/app/", "bears/web/"))}
    assert {name for name in needed if not name.startswith("bears/web/offline/")} == {
        name for name in files if name.startswith(("bears/app/", "bears/web/"))
    }


@pytest.mark.slow
@pytest.mark.parametrize("git", [pytest.param(True, marks=needs("git's")), False], ids=["with git", "without git"])
def test_files_of_editors_and_notes_are_not_sent(tmp_path, monkeypatch, git):
    wanted = set(files_to_send("me/bears", ROOT / "export.pkl"))
    for name in {*wanted, "README.md"} - {"export.pkl", "export.json"}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    if git:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        subprocess.run(["git", "add", "-f", "."], cwd=tmp_path, check=True)
    web = tmp_path / "bears/web"
    for name in (
        ".page.js.swp",
        ".#page.js",
        "#page.py",
        "page.js~",
        "page.js.orig",
        "notes.txt",
        ".env",
        ".secret.py",
    ):
        (web / name).write_text("private")
    (web / "untracked.py").write_text("private")
    monkeypatch.setattr("bears.deploy.HOME", tmp_path)
    sent = {name for name in files_to_send("me/bears", ROOT / "export.pkl") if name.startswith("bears/")}
    assert sent - {"bears/web/untracked.py"} == {name for name in wanted if name.startswith("bears/")}
    assert git == ("bears/web/untracked.py" not in sent)


@pytest.mark.slow
def test_no_name_of_a_photo_and_no_remark_is_sent_and_the_page_says_the_same():
    facts = json.loads((ROOT / "export.json").read_text())
    data = files_to_send("me/bears", ROOT / "export.pkl")["export.json"]
    assert facts["dropped"] and facts["near_duplicates"] and facts["none_of_them"]["others"]["passed"]
    assert public({"groups": {"bear": ["black", "grizzly"]}}) == {"groups": {"bear": ["black", "grizzly"]}}
    assert b".jpg" not in data and not any(remark.encode() in data for remark in facts["dropped"].values())
    sent = json.loads(data)
    assert (page_title(sent), about(sent), camera_words(sent)) == (page_title(facts), about(facts), camera_words(facts))


# Skip opening the model, which takes the longest. One test deploys as a user does.
SEND_ONLY = "from bears import deploy; deploy.check_opens = lambda *args: None; deploy.main()"


def deploy(*args, command=("-m", "bears.deploy"), **env):
    env = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": "/nowhere", **env}
    command = [sys.executable, *command, *args]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_deploy_creates_the_space_and_sends_every_file(hub):
    result = deploy("me/bears", HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret")
    assert result.returncode == 0 and "/spaces/me/bears" in result.stdout, result.stderr
    assert hub.created["name"] == "bears" and hub.created["type"] == "space" and hub.created["sdk"] == "gradio"
    assert all(token == "Bearer hf_secret" for path, token in hub.calls if "objects/batch" not in path)
    sent = {line["value"]["path"]: line["value"] for line in hub.commit if line["key"] in ("file", "lfsFile")}
    assert set(sent) == set(files_to_send("me/bears", ROOT / "export.pkl"))
    assert base64.b64decode(sent["app.py"]["content"]) == (ROOT / "app.py").read_bytes()
    assert hub.stored == (ROOT / "export.pkl").read_bytes()
    assert sent["export.pkl"]["oid"] == hashlib.sha256(hub.stored).hexdigest()
    card = yaml.safe_load(base64.b64decode(sent["README.md"]["content"]).decode().split("---")[1])
    assert "spaces/me/bears/" in card["thumbnail"] and card["sdk_version"] == version("gradio")


@pytest.mark.slow
def test_deploy_removes_what_it_has_sent_before_and_nothing_else(hub, tmp_path):
    shutil.copy(ROOT / "export.pkl", tmp_path)
    (tmp_path / "export.json").write_text('{"classes": ["disc", "square"]}')
    env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret", "command": ["-c", SEND_ONLY]}
    assert deploy("me/bears", **env).returncode == 0
    before = set(hub.files)
    assert {"MODEL_CARD.md", "docs/pictures/phone.jpg", "examples/none.jpg", "examples/README.md"} < before
    del hub.files["MODEL_CARD.md"]  # the owner of the Space has deleted it, changed another and added a third
    hub.files |= {"docs/pictures/phone.jpg": "Update phone.jpg", "examples/mine.jpg": "Upload mine.jpg"}
    hub.files[".gitattributes"] = COMMIT_MESSAGE  # which the Hub changes itself in a commit with large files
    result = deploy("me/bears", "--model", str(tmp_path), **env)
    assert result.returncode == 0, result.stderr
    sent = set(files_to_send("me/bears", tmp_path / "export.pkl"))
    assert set(hub.files) == sent | {"docs/pictures/phone.jpg", "examples/mine.jpg", ".gitattributes"}
    removed = {line.split()[1] for line in result.stdout.splitlines() if "removed" in line}
    assert removed == before - sent - {"MODEL_CARD.md", "docs/pictures/phone.jpg"} != set()


@pytest.mark.slow
def test_an_export_that_needs_trust_is_sent_only_with_it_and_the_space_is_told(hub, tmp_path):
    learn = open_export(ROOT / "export.pkl")
    learn.path = tmp_path
    learn.export("export.pkl")  # as fastai does it
    shutil.copy(ROOT / "export.json", tmp_path)
    args, env = ("me/bears", "--model", tmp_path / "export.pkl"), {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret"}
    result = deploy(*args, **env)
    [line] = result.stderr.splitlines()
    assert result.returncode == 1 and "add --trust-model" in line and not hub.calls
    assert deploy(*args, "--trust-model", command=["-c", SEND_ONLY], **env).returncode == 0
    assert hub.variables == {"key": "TRUST_MODEL", "value": "1"}
    server = Server(tmp_path / "log", "--model", str(tmp_path), env={"TRUST_MODEL": "1"})
    server.wait_for("The model is ready", 60)
    server.close()


def listed(said):
    """Return the files that a dry run has printed, a dict from name to size in bytes."""
    lines = (line.split() for line in said.splitlines()[:-1])
    return {name: int(size.replace(",", "")) for size, name in lines}


@pytest.mark.slow
def test_a_static_space_gets_exactly_what_the_dry_run_lists(hub, offline, monkeypatch, capsys):
    files = {f.relative_to(offline[0]).as_posix(): f.read_bytes() for f in offline[0].rglob("*") if f.is_file()}
    monkeypatch.setattr("bears.offline.site.build", lambda *args: files)
    main(["me/bears", "--static", "--dry-run"])
    first = listed(capsys.readouterr().out)
    assert not hub.calls and {*files, "README.md"} == first.keys()
    hub.files = {"app.py": COMMIT_MESSAGE, "mine.txt": "Upload mine.txt"}  # the app was there before
    main(["me/bears", "--static"])
    assert hub.created["sdk"] == "static" and "hardware" not in hub.created and hub.created["type"] == "space"
    sent = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in hub.commit[1:-1]}
    assert {name: len(data) for name, data in sent.items()} == first and sent.items() >= files.items()
    assert hub.commit[-1] == {"key": "deletedFile", "value": {"path": "app.py"}}
    hub.files["page.js"] = "Update page.js"  # by the owner of the Space, who has added another file
    hub.files["docs/mine.md"] = "Upload mine.md"
    files = {name: data for name, data in files.items() if not name.startswith(("model-", "page.js"))}
    files["model-new.bin"] = b"another model"
    main(["me/bears", "--static"])
    [network] = [name for name in first if name.startswith("model-")]
    assert hub.files.keys() == (first.keys() | {"model-new.bin", "docs/mine.md", "mine.txt"}) - {network}
    assert f"     removed  {network}\n" in capsys.readouterr().out and hub.files["page.js"] == "Update page.js"


@pytest.mark.slow
def test_the_photos_of_this_repository_go_with_their_licence():
    files = files_to_send("me/bears", ROOT / "export.pkl")
    assert files["examples/README.md"] == ROOT / "examples" / "README.md"
    assert {f"examples/{f.name}" for f in (ROOT / "examples").iterdir()} == {f for f in files if "examples/" in f}
    assert "GNU General Public License, version 2" in files["README.md"].decode()


@pytest.mark.slow
def test_dry_run_lists_files_and_sizes_and_sends_nothing(hub):
    result = deploy("me/bears", "--dry-run", HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret")
    assert result.returncode == 0 and not hub.calls
    assert f"{(ROOT / 'export.pkl').stat().st_size:,}  export.pkl" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("facts", ["{", "[]"])
def test_a_damaged_export_json_is_one_sentence(tmp_path, facts):
    (tmp_path / "export.pkl").touch()
    (tmp_path / "export.json").write_text(facts)
    result = deploy("me/bears", "--dry-run", "--model", str(tmp_path))
    [line] = result.stderr.splitlines()
    assert line.startswith("bears.deploy: ") and "Train again to write a new one" in line


@pytest.mark.slow
def test_a_folder_stands_for_the_export_in_it():
    assert deploy("me/bears", "--dry-run", "--model", str(ROOT)).stdout == deploy("me/bears", "--dry-run").stdout != ""


@pytest.mark.parametrize(
    "status, sentence",
    [
        (400, "rejected this Space (You may not do this). Fix that"),
        (402, "zero-a10g"),
        (403, "rejected your token"),
        (429, "answered 429 (You may not do this). Try again later"),
        (500, "answered 500 (You may not do this). Try again later"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(hub, status, sentence):
    hub.status = status
    with pytest.raises(DeployError) as error:
        send("me/bears", {"a.txt": b"a"}, None)
    assert sentence in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "args, env, sentence",
    [
        (["me/bears"], {"HF_TOKEN": ""}, "No Hugging Face token"),
        (["me/bears"], {"HF_TOKEN": "hf_x", "HF_ENDPOINT": "http://127.0.0.1:9"}, "Can't reach the Hub"),
        (["bears"], {}, "A Space has a name like"),
        (["me/my bears"], {}, "A Space has a name like"),
        (["me/bears", "--model", "nowhere/export.pkl"], {}, "There is no nowhere/export.pkl"),
    ],
    ids=["token", "network", "name", "blank", "model"],
)
def test_what_is_missing_is_said_in_one_sentence(args, env, sentence):
    result = deploy(*args, command=["-c", SEND_ONLY], **env)
    [line] = result.stderr.splitlines()
    assert result.returncode == 1 and line.startswith("bears.deploy: ") and sentence in line


@pytest.mark.slow
def test_what_is_sent_is_enough_to_run_and_no_module_more(tmp_path):
    for name, file in files_to_send("me/bears", ROOT / "export.pkl").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file, bytes):
            (tmp_path / name).write_bytes(file)
        else:
            shutil.copy(file, tmp_path / name)
    env = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": ""}  # each imported module leaves its bytecode
    server = Server(tmp_path / "log", app=tmp_path / "app.py", env=env)
    try:
        assert answer(server, TEDDY)[1] == "Teddy bear, 96% sure"
    finally:
        server.close()
    assert {f.name for f in (tmp_path / "bears").iterdir() if f.is_dir()} == {"app", "model", "web", "__pycache__"}


@pytest.mark.slow
def test_zerogpu_finds_its_gpu_function_and_the_app_answers(tmp_path):
    pytest.importorskip("spaces")

    class DeviceApi(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            reports.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *args):
            pass

    reports = []
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), DeviceApi)
    thread = threading.Thread(target=api.serve_forever, args=[0.05])
    thread.start()
    env = {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{api.server_port}"}
    server = Server(tmp_path / "log", env={**env, "SYSTEM": "spaces"})
    try:
        assert answer(server, TEDDY)[1] == "Teddy bear, 96% sure"
        assert any("startup-report" in path for path in reports), reports  # it is sent if there is a GPU function
    finally:
        server.close()
        api.shutdown()
        thread.join()
        api.server_close()


@pytest.mark.slow
def test_elsewhere_there_is_no_gpu_function(server):
    assert requests.get(server.url, timeout=30).ok
    code = "import sys, app; assert 'spaces' not in sys.modules or not sys.modules['spaces'].config.Config.zero_gpu"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_space_is_told_where_feedback_goes(hub):
    send("me/bears", {"a.txt": b"a"}, None, feedback="hf://datasets/me/feedback")
    assert hub.variables == {"key": "BEARS_FEEDBACK", "value": "hf://datasets/me/feedback"}


@pytest.mark.parametrize("place", ["feedback", "me/feedback", "hf://datasets/me/my feedback", "hf://datasets/me/a/b"])
def test_a_place_for_feedback_that_is_no_data_set_is_refused(place, capsys):
    with pytest.raises(SystemExit):
        parse_args(["me/bears", "--feedback", place])
    assert f"{place} is not a data set. Give one like hf://datasets/USER/NAME" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--test", "photos"], ["--feedback", "hf://datasets/me/feedback"]])
def test_a_static_space_takes_no_test_photos_and_no_feedback(option, capsys):
    with pytest.raises(SystemExit):
        parse_args(["me/bears", "--static", *option])
    assert "Leave out --test and --feedback." in capsys.readouterr().err


def test_a_static_space_takes_no_hardware(capsys):
    with pytest.raises(SystemExit):
        parse_args(["me/bears", "--static", "--hardware", "zero-a10g"])
    assert "Leave out --hardware." in capsys.readouterr().err
