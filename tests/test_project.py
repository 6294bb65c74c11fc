"""Test the repository itself: its commands, files, imports, licences and links."""

import ast
import os
import re
import runpy
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from itertools import product

import pytest
import yaml
from bears import licences
from helpers import ROOT, TRACKED, needs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = ["requirements.txt", *(f"requirements-{name}.txt" for name in ("train", "notebook", "dev"))]
TOP_LEVEL = {
    *("app.py", "train.py", *REQUIREMENTS, "requirements.lock", "export.pkl", "export.json", "pyproject.toml"),
    *("README.md", "MODEL_CARD.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"),
    *("bears", "examples", "tests", "benchmarks", "notebooks", "docs"),
    *(".ci", ".github", ".binder", ".gitignore"),
}


@needs("git")
def test_top_level_holds_what_it_should_and_nothing_else():
    assert {name.split("/")[0] for name in TRACKED} <= TOP_LEVEL


@needs("git")
def test_the_account_of_the_badge_is_the_one_thing_to_fill_in():
    texts = [(ROOT / name).read_bytes() for name in TRACKED if name.endswith((".md", ".py", ".yml", ".ipynb"))]
    assert sum(text.count("owner".upper().encode()) for text in texts) == 1


@needs("git")
def test_every_file_is_small_enough_for_any_host():
    assert all((ROOT / name).stat().st_size <= 10_000_000 for name in TRACKED if (ROOT / name).exists())


def test_readme_has_the_two_commands_and_ci_runs_the_same_test_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 -m bears app" in readme and "python3 -m bears test" in readme
    assert "python3 -m bears test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["in one", "in workers"])
def test_a_skipped_test_fails_the_run_where_ci_wants_it(tmp_path, workers):
    (tmp_path / "test_it.py").write_text("import pytest\n\ndef test_it():\n    pytest.skip('for once')\n")
    result = run_pytest(tmp_path, "--fail-on-skip", *workers)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED and "1 skipped" in result.stdout, result.stdout


GUARDED = """
import subprocess, sys
import pytest

@pytest.fixture(scope="session")
def program():
    return subprocess.run([sys.executable, "-c", ""])

def test_itself(): subprocess.run([sys.executable, "-c", ""])
def test_by_its_fixture(program): pass
@pytest.mark.slow
def test_slow(): subprocess.run([sys.executable, "-c", ""])
"""


@pytest.mark.slow
def test_a_test_that_starts_a_program_and_is_not_marked_as_slow_fails(tmp_path):
    (tmp_path / "test_it.py").write_text(GUARDED)
    result = run_pytest(tmp_path)
    assert "1 failed, 1 passed, 1 error" in result.stdout, result.stdout


def run_pytest(folder, *args):
    """Run the tests of a folder with the fixtures and options of these tests."""
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "conftest", *args, folder]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def test_github_runs_what_contributors_run():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    (everything, *_, ci), (quick, *_, tests) = ((job["strategy"]["matrix"], *job["steps"]) for job in jobs.values())
    assert ci["run"] == ".ci/run" and everything["python"] == ["3.10", "3.12", "3.14"]
    command = tests["run"].replace("python ", "python3 ")  # the command's name in the docs
    assert f"{command} " in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8") and len(quick["os"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("args", [[], ["nonsense"]])
def test_launcher_without_a_command_says_which_there_are(args):
    result = subprocess.run([sys.executable, "-m", "bears", *args], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and "python3 -m bears app" in result.stderr


@pytest.mark.slow
def test_launcher_has_help():
    result = subprocess.run([sys.executable, "-m", "bears", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0 and "python3 -m bears collect" in result.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no exec")
def test_launcher_becomes_the_program_so_that_stopping_one_stops_the_other():
    show = "import os; print(os.getpid(), flush=True)"
    code = f"{show}; import sys; from bears.__main__ import run; run([sys.executable, '-c', {show!r}])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    launcher, program = result.stdout.split()
    assert launcher == program


def test_requirements_name_no_other_index_and_pin_what_the_pickle_needs():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {Requirement(line).name.lower(): line for line in required("requirements.txt")}
    assert not any(line.startswith("-") for line in lines)
    for name in ("gradio", "fastai", "timm"):
        assert "==" in names[name]
    for name in ("torch", "torchvision", "pillow", "requests"):
        assert ">=" in names[name]


def required(file):
    """Return what a requirements file asks for, without the files that it includes."""
    lines = [line.split("#")[0].strip(" \\") for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


def test_what_only_training_needs_is_not_installed_for_the_app():
    names = {Requirement(line).name.lower() for line in required("requirements.txt")}
    assert not names & {Requirement(line).name.lower() for file in REQUIREMENTS[1:] for line in required(file)}


def test_lock_file_has_one_exact_version_of_everything_for_every_system():
    locked = {}
    for line in required("requirements.lock"):
        locked.setdefault(canonicalize_name(Requirement(line).name), []).append(Requirement(line))
    systems = product(("linux", "win32", "darwin"), ("3.10", "3.11", "3.12", "3.13", "3.14"))
    systems = [{"sys_platform": s, "python_version": v, "python_full_version": f"{v}.9"} for s, v in systems]
    for wanted in (Requirement(line) for file in REQUIREMENTS for line in required(file)):
        for system in systems:
            fits = [r for r in locked[canonicalize_name(wanted.name)] if not r.marker or r.marker.evaluate(system)]
            [version] = [spec.version for r in fits for spec in r.specifier if spec.operator == "=="]
            assert wanted.specifier.contains(version), wanted


def test_lock_file_has_hashes_of_everything_but_the_builds_of_pytorch():
    entries = re.split(r"\n(?=\w)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))[1:]
    without = {entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry}
    assert {"torch", "torchvision"} <= without
    assert all(name in ("torch", "torchvision") or name.startswith("nvidia-") for name in without)


@needs("git")
def test_the_page_of_licences_is_what_its_command_writes_and_has_every_file_that_is_no_text():
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page(), "python3 -m bears licences"
    patterns = " ".join(licences.ROWS).split()
    kinds = (
        ".pkl",
        ".jpg",
        ".png",
        ".svg",
        ".webp",
        ".gif",
        ".ico",
        ".wasm",
        ".woff",
        ".woff2",
        ".ttf",
        ".otf",
        ".bin",
    )
    for name in (name for name in TRACKED if name.endswith(kinds)):
        assert sum(fnmatch(name, pattern) for pattern in patterns) == 1, name
    assert all(any(fnmatch(name, pattern) for name in TRACKED) for pattern in patterns)


def test_lock_file_names_no_index():
    assert not re.search(r"https?:|file:|index|/", "".join(required("requirements.lock")))


def anchors(page):
    """Return the names that GitHub gives to the headings of a page, for links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", [f for f in TRACKED if f.endswith(".md")])
def test_links_between_pages_lead_somewhere(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for link, heading in re.findall(r"\]\((?!https?:|mailto:)([^)#]*)#?([^)]*)\)", text):
        page = (ROOT / file).parent / link if link else ROOT / file
        assert page.exists(), link
        assert not heading or heading in anchors(page), f"{link}#{heading}"


# The parts of `bears` that each folder may import, apart from itself. Modules that are directly in bears/ may import no
# folder. Only deploy.py may.
BASE = {
    "cli",
    "distributed",
    "download",
    "errors",
    "fastai_internals",
    "files",
    "hub",
    "photos",
    "private_photos",
    "report_page",
    "static_site",
    "text",
}
MAY_IMPORT = {
    "model": {"errors", "fastai_internals", "files", "text"},
    "web": BASE | {"model"},
    "learning": BASE | {"model"},
    "app": BASE | {"model", "web"},
    "collect": BASE | {"model"},
    "clean": BASE | {"model", "learning", "web"},
    "compare": BASE | {"model", "learning"},
    "train": BASE | {"model", "learning"},
    "predict": BASE | {"model"},
    "report": BASE | {"model"},
    "watch": BASE | {"clean", "model"},
    "offline": BASE | {"model", "web"},
    "deploy": BASE | {"compare", "model", "offline"},
}


def imports(file):
    """Return the modules that a Python file imports anywhere, `from a import b` as `a.b`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# For each requirements file, the files whose imports it must cover together with the ones before it.
PROGRAMS = {
    "requirements.txt": ["app.py", "bears/app/*.py", "bears/predict/*.py"],
    "requirements-train.txt": [
        "train.py",
        "bears/train/*.py",
        "bears/clean/*.py",
        "bears/collect/*.py",
        "bears/compare/*.py",
        "bears/offline/*.py",
        "bears/report/*.py",
        "bears/watch/*.py",
        "bears/deploy.py",
        "benchmarks/*.py",
    ],
    "requirements-notebook.txt": ["bears/notebook.py"],
    "requirements-dev.txt": ["tests/*.py"],
}
OPTIONAL = {"accelerate", "spaces", "mutmut"}  # imported where they are needed; the first two are there for the tests


def reached(files):
    """Return the files, and all modules of `bears` that they import, directly or not."""
    found, new = set(), set(files)
    while new:
        found |= new
        modules = {part for file in new for name in imports(file) for part in (name, name.rpartition(".")[0])}
        paths = {ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in modules if name.startswith("bears.")}
        new = {path for path in paths if path.exists()} - found
    return found


@pytest.mark.parametrize("file", REQUIREMENTS)
def test_packages_that_the_code_imports_are_named_in_the_requirements(file):
    included = REQUIREMENTS[: REQUIREMENTS.index(file) + 1]
    named = {canonicalize_name(Requirement(line).name) for name in included for line in required(name)}
    files = reached(path for pattern in PROGRAMS[file] for path in ROOT.glob(pattern))
    modules = {name.split(".")[0] for path in files for name in imports(path)} - OPTIONAL
    ours = {path.stem for folder in (".", "tests", "benchmarks") for path in ROOT.glob(f"{folder}/*.py")} | {"bears"}
    distributions, missing = packages_distributions(), set()
    for module in modules - ours - sys.stdlib_module_names:
        if not named & {canonicalize_name(name) for name in distributions.get(module, [module])}:
            missing.add(module)
    assert not missing


def exists(name):
    """Return whether a name is a folder or module of `bears`, and not a constant such as `bears.ARCH`."""
    return (ROOT / "bears" / name).is_dir() or (ROOT / "bears" / f"{name}.py").is_file()


@pytest.mark.parametrize("file", sorted((ROOT / "bears").rglob("*.py")), ids=lambda f: f.relative_to(ROOT).as_posix())
def test_imports_run_one_way_and_no_library_imports_a_script(file):
    place = file.relative_to(ROOT / "bears").with_suffix("").parts[0]
    ours = {name.split(".")[1] for name in imports(file) if name.startswith("bears.")}
    foreign = {name for name in ours - MAY_IMPORT.get(place, BASE) - {place} if exists(name)}
    wrong = foreign | {name for name in imports(file) if name.split(".")[0] in ("train", "app")}
    assert not wrong, f"{file.name} imports {wrong}"


def test_what_programs_import_of_this_package_is_there():
    programs = [f for folder in ("benchmarks", "docs", "tests") for f in (ROOT / folder).glob("*.py")]
    names = {name for file in programs for name in imports(file) if name.startswith("bears.")}
    assert len(names) > 100 and not {name for name in names if not is_there(name)}


def is_there(name):
    """Return whether a dotted name is a module of `bears`, or a name in the module before its last dot."""
    place = ROOT.joinpath(*name.split("."))
    if place.is_dir() or place.with_suffix(".py").is_file():
        return True
    module = place.parent / "__init__.py" if place.parent.is_dir() else place.parent.with_suffix(".py")
    return bool(re.search(rf"\b{place.name}\b", module.read_text(encoding="utf-8")))


def signature(node):
    """Return a function's arguments that have neither a default nor a type hint, and `return` if it has no hint."""
    args = [*node.args.posonlyargs, *node.args.args]
    needed = args[: len(args) - len(node.args.defaults)]
    needed += [arg for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults) if default is None]
    bare = [arg.arg for arg in needed if arg.arg != "self" and not arg.annotation]
    return bare if node.returns else [*bare, "return"]


def test_functions_that_another_folder_uses_have_type_hints():
    programs = [ROOT / "train.py", ROOT / "app.py", *ROOT.glob("benchmarks/*.py"), *ROOT.glob("bears/**/*.py")]
    users, bare = {}, {}
    for file in programs:
        for name in imports(file):
            users.setdefault(name, set()).add(file.parent)
    for file in ROOT.glob("bears/**/*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            name = ".".join([*file.relative_to(ROOT).with_suffix("").parts, getattr(node, "name", "")])
            if isinstance(node, ast.FunctionDef) and users.get(name, set()) - {file.parent} and signature(node):
                bare[name] = signature(node)
    assert not bare


def test_each_main_says_what_it_takes():
    names = ("app.py", "train.py", "bears/deploy.py", "bears/__main__.py", "bears/*/__main__.py")
    files = [file for name in names for file in ROOT.glob(name)]
    for node in (node for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.FunctionDef) and node.name in ("main", "parse_args"):
            assert node.returns and all(arg.annotation for arg in [*node.args.args, *node.args.kwonlyargs])


def test_the_reference_of_commands_says_what_their_help_says():
    cli = runpy.run_path(str(ROOT / "docs" / "cli.py"))
    assert cli["PAGE"].read_text(encoding="utf-8") == cli["page"](), "run .venv/bin/python docs/cli.py"


def test_train_and_app_stay_as_short_as_a_lesson():
    assert len((ROOT / "train.py").read_text(encoding="utf-8").splitlines()) <= 200
    assert len((ROOT / "app.py").read_text(encoding="utf-8").splitlines()) <= 150
