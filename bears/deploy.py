"""Put the app and its model on a Hugging Face Space, or update the Space.

python3 -m bears deploy USER/NAME                          # needs a token (`.venv/bin/hf auth login` or HF_TOKEN)
python3 -m bears deploy USER/NAME --dry-run                # lists what would be sent, and sends nothing
python3 -m bears deploy USER/NAME --model my/export.pkl    # your own classes
python3 -m bears deploy USER/NAME --hardware zero-a10g     # ZeroGPU, the only hardware for a free account
python3 -m bears deploy USER/NAME --test test_photos       # only if the new model isn't worse than the Space's
python3 -m bears deploy USER/NAME --static                 # the offline version: free for everybody, never sleeps

A plain `git push` won't work, since the Hub refuses a push with binary files.
"""

import json
import subprocess
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from bears.cli import add_model, begin, command_parser, ends_in_words
from bears.errors import DeployError, ExportError
from bears.files import HOME, MODEL
from bears.hub import check_repo, data_set


def feedback_place(text):
    try:
        data_set(text)
    except ExportError as e:
        raise ArgumentTypeError(str(e)) from None
    return text


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("deploy", __doc__)
    parser.add_argument("space", metavar="USER/NAME", help="name of the Space; it is created if it doesn't exist")
    add_model(parser, "the Space")
    parser.add_argument(
        "--hardware", help="hardware for a new Gradio Space, such as zero-a10g (default: the Hub decides)"
    )
    test = "folder of test photos, one subfolder per class; send nothing if the Space's model is better on them"
    parser.add_argument("--test", metavar="DIR", type=Path, help=test)
    feedback = "private data set for visitors' feedback: hf://datasets/USER/NAME (docs/deploy.md)"
    parser.add_argument("--feedback", type=feedback_place, metavar="DATASET", help=feedback)
    parser.add_argument("--static", action="store_true", help="put the offline version on a static Space")
    parser.add_argument("--dry-run", action="store_true", help="list the files and their sizes, and send nothing")
    args = parser.parse_args(argv)
    if args.static and (args.test or args.feedback):
        parser.error("a static Space can't collect feedback and has no export.pkl. Leave out --test and --feedback.")
    if args.static and args.hardware:
        parser.error("a static Space runs nothing on the Hub. Leave out --hardware.")
    return args


if __name__ == "__main__":
    begin(parse_args)

from bears.model.metadata import public, read_facts
from bears.model.wording import ALONE, about, as_markdown, examples_to_send, page_title
from bears.static_site import find_site
from bears.text import print_line, read_table
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile, SpaceCard, get_token
from huggingface_hub import hf_hub_download as download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import disable_progress_bars

KINDS = ("py", "js", "css", "html", "svg")
DETECTOR = ["bears/model/detector.onnx.gz", "bears/model/detector.md"]
# The files that the app needs. Files for collecting, training and cleaning are not sent.
WEB = [f"bears/web/*.{kind}" for kind in KINDS]
FILES = ["app.py", "requirements.txt", "LICENSE", "bears/*.py", "bears/app/*.py"]
FILES += ["bears/model/*.py", *DETECTOR, *WEB]
THEIR_PHOTOS = HOME / "bears" / "train" / "photos.csv"  # the photos that the shipped model was trained on
ABOUT_THE_BEARS = ["MODEL_CARD.md", *(f"docs/pictures/*.{kind}" for kind in ("jpg", "png", "svg", "webp"))]
THEIR_LICENCE = (
    "The photos in `examples/` are not under the licence of the app. Three are under the GNU General Public License,"
    " version 2 or later: see [their README](examples/README.md)."
)
COMMIT_MESSAGE = "python3 -m bears deploy"  # `left_over` finds the files of an earlier run by this message
TOKEN = "No Hugging Face token found. Create one with write access at https://huggingface.co/settings/tokens,"


def check_name(space):
    try:
        check_repo(space)
    except HFValidationError as e:
        raise DeployError(f"{e}. A Space has a name like my-name/bears") from None


def files_to_send(space, model):
    """Return the files for the Space, as a dict from path on the Space to local Path or bytes.

    Raises `DeployError`.
    """
    beside = model.with_suffix(".json")
    if missing := [str(f) for f in (model, beside) if not f.is_file()]:
        raise DeployError(f"There is no {' and no '.join(missing)}. Train again, since train.py writes both.")
    if not (facts := read_facts(model)):
        raise DeployError(f"{beside} can't be read. Train again to write a new one.")
    shipped = is_shipped(model, facts)
    patterns = FILES + ABOUT_THE_BEARS if shipped else FILES
    files = ours(patterns)
    examples = examples_to_send(model, facts)
    offline = {f"site/{name}": file for name, file in find_site(model).items()}
    card = space_card(space, facts, shipped, examples)
    facts = json.dumps(public(facts), indent=2).encode() + b"\n"
    return {"README.md": card, **files, **examples, **offline, "export.pkl": model, "export.json": facts}


def ours(patterns):
    """Return the files that match `patterns` and that git tracks, as a dict from relative path to Path.

    Without git, return all files that match `patterns`.
    """
    files = {f.relative_to(HOME).as_posix(): f for pattern in patterns for f in sorted(HOME.glob(pattern))}
    kept = tracked() or files
    return {name: f for name, f in files.items() if name in kept and not f.name.startswith((".", "#"))}


def tracked():
    """Return the names of the files that git tracks. Without git, or without a repository, return an empty set."""
    try:
        told = subprocess.run(["git", "-C", HOME, "ls-files", "-z"], capture_output=True, text=True, encoding="utf-8")
    except OSError:
        return set()
    return set(told.stdout.split("\0")) - {""}


def static_files(space, model, trust):
    """Build the offline version and return its files for a static Space."""
    from bears.offline.site import build  # here: report other errors before importing torch, which is slow

    files = build(model, trust, [], lambda words: print(words, flush=True))
    facts = read_facts(model)
    return {"README.md": space_card(space, facts, is_shipped(model, facts), files, static=True), **files}


def is_shipped(model, facts):
    """Return whether `model` is the shipped export, which MODEL_CARD.md describes."""
    return model.resolve() == MODEL and facts.get("classes") == the_bears()


def the_bears():
    """Return the classes of the shipped model."""
    return sorted({row["label"] for row in read_table(THEIR_PHOTOS)})


def check_opens(model, trust):
    """Raise `ExportError` if the Space could not open the export or classify a photo with it."""
    from bears.model.classifier import Classifier  # here: report other errors before importing torch, which is slow

    Classifier(model, trust)


def check_not_worse(space, model, photos, trust):
    """Raise `DeployError` if the export `model` is worse than the Space's export on the folder `photos`."""
    try:
        _, old = (Path(download(space, name, repo_type="space")) for name in ("export.json", "export.pkl"))
    except (EntryNotFoundError, RepositoryNotFoundError):
        return print("The Space has no older model to compare with.")
    except Exception as e:
        raise DeployError(f"The Space's model can't be downloaded ({type(e).__name__}). Leave out --test.") from None
    from bears.compare import judge, report  # here: report other errors before importing torch, which is slow

    comparison = judge.compare(old, model, photos, trust=trust)
    for line in report.summary(comparison):
        print_line(line)
    if comparison.verdict == "worse":
        raise DeployError(f"Nothing was sent: this model is worse on {photos}. To send it, leave out --test.")


def space_card(space, facts, shipped, files, static=False):
    """Return the bytes of the Space's README.md: this repository's README.md, adapted to the model."""
    card = SpaceCard.load(HOME / "README.md")
    card.data.title = page_title(facts)
    card.data.short_description = "See what a photo shows, how sure the model is, and why"
    card.data.thumbnail = None
    if static:
        card.data.sdk, card.data.app_file = "static", "index.html"
        card.data.sdk_version = card.data.python_version = None
        card.data.tags = [tag for tag in card.data.tags if tag != "mcp-server"]
    elif shipped:
        card.data.thumbnail = f"https://huggingface.co/spaces/{space}/resolve/main/docs/pictures/phone.jpg"
    if not shipped:
        card.data.emoji = "📷"
        card.data.tags = [tag for tag in card.data.tags if tag != "bears"]
    card.text = f"\n# {as_markdown(page_title(facts))}\n\n{about(facts, ALONE) if static else about(facts)}\n"
    if "examples/README.md" in files:
        card.text += f"\n{THEIR_LICENCE}\n"
    return str(card).encode()


def show(files):
    sizes = {name: len(f) if isinstance(f, bytes) else f.stat().st_size for name, f in files.items()}
    for name, size in sizes.items():
        print_line(f"{size:>12,}  {name}")
    print(f"{sum(sizes.values()):>12,}  bytes in {len(sizes)} files")


def check_token():
    if not get_token():
        raise DeployError(f"{TOKEN} and run `.venv/bin/hf auth login`.")


def send(space, files, hardware, trust=False, sdk="gradio", feedback=None):
    """Create the Space if needed, commit `files` to it, and return its web address. Raises `DeployError`."""
    disable_progress_bars()
    hub = HfApi()
    try:
        url = hub.create_repo(space, repo_type="space", space_sdk=sdk, space_hardware=hardware, exist_ok=True)
        if trust:
            hub.add_space_variable(space, "TRUST_MODEL", "1")
        if feedback:
            hub.add_space_variable(space, "BEARS_FEEDBACK", feedback)
        gone = left_over(hub, space, files)
        changes = [CommitOperationAdd(name, f) for name, f in files.items()]
        changes += [CommitOperationDelete(name, is_folder=False) for name in gone]
        hub.create_commit(space, changes, commit_message=COMMIT_MESSAGE, repo_type="space")
    except HfHubHTTPError as e:
        raise DeployError(refusal(e.response.status_code, e.server_message or "no reason given")) from None
    except Exception as e:  # the Hub's client has changed its HTTP library, and thus its errors, more than once
        raise DeployError(f"Can't reach the Hub ({type(e).__name__}). Check your network and try again.") from None
    for name in gone:
        print_line(f"{'removed':>12}  {name}")
    return url


def left_over(hub, space, files):
    """Return the paths of old files on the Space: an earlier run of this command sent them, but `files` lacks them.

    Leave out files that somebody else has changed: their last commit has another message than `COMMIT_MESSAGE`. Leave
    out `.gitattributes`, which the Hub writes.
    """
    there = hub.list_repo_tree(space, recursive=True, expand=True, repo_type="space")
    try:
        there = [f for f in there if isinstance(f, RepoFile) and f.path not in (*files, ".gitattributes")]
    except EntryNotFoundError:  # the Space is empty
        return []
    return [f.path for f in there if f.last_commit and f.last_commit.title == COMMIT_MESSAGE]


def refusal(status, said):
    if status in (401, 403):
        return f"The Hub rejected your token for this Space ({said}). The token needs write access to it."
    if status == 402:
        return f"The Hub asks for a paid plan ({said}). With a free account, add --hardware zero-a10g."
    if status == 429 or status >= 500:
        return f"The Hub answered {status} ({said}). Try again later."
    return f"The Hub rejected this Space ({said}). Fix that, then run the command again."


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with ends_in_words("bears.deploy", "Run the same command again to continue."):
        check_name(args.space)
        if args.static:
            deploy_static(args)
        else:
            deploy_app(args)


def deploy_app(args):
    files = files_to_send(args.space, args.model)
    show(files)
    if not args.dry_run:
        check_token()
        check_opens(args.model, args.trust_model)
        if args.test:
            check_not_worse(args.space, args.model, args.test, args.trust_model)
        url = send(args.space, files, args.hardware, args.trust_model, feedback=args.feedback)
        print(f"The Space is being built: {url}")


def deploy_static(args):
    if not args.dry_run:
        check_token()  # before the offline version is built, which takes a minute
    files = static_files(args.space, args.model, args.trust_model)
    show(files)
    if not args.dry_run:
        print(f"The offline version is online: {send(args.space, files, None, sdk='static')}")


if __name__ == "__main__":
    main()
