"""Test that private names of other libraries are used in one module each, and still exist."""

import ast
import inspect
import re
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from platform import python_version

import bears  # noqa: F401 - silences a warning of fastai's
import fastai.data.core  # noqa: F401 - here, since these imports start programs, which a quick test may not do
import gradio  # noqa: F401
import pytest
from helpers import ROOT

GRADIO, UVICORN, FASTAI = "app/gradio_internals.py", "app/connections.py", "fastai_internals.py"
# The library, the module in bears/ that uses it, the owner of the names, and the names.
USED = [
    ("gradio", GRADIO, "gradio.blocks:Blocks", "_queue server_name server_port share_token"),
    ("gradio", GRADIO, "gradio.block_function:BlockFunction", "_id"),
    ("gradio", GRADIO, "gradio.queueing:Event", "_id session_hash request alive"),
    ("gradio", GRADIO, "gradio.queueing:Queue", "pending_event_ids_session pending_messages_per_session"),
    ("gradio", GRADIO, "gradio.queueing:Queue", "event_ids_to_events max_size __len__"),
    ("gradio", GRADIO, "gradio.context:LocalContext", "blocks event_id"),
    ("gradio", GRADIO, "gradio.routes:file_upload_statuses", "_signals _statuses"),
    ("gradio", GRADIO, "gradio.route_utils:GradioMultiPartParser", "_current_part _files_to_close_on_error parse"),
    ("gradio", GRADIO, "gradio.route_utils:GradioMultiPartParser", "on_headers_finished on_part_data on_part_end"),
    ("gradio", GRADIO, "gradio.tunneling", "CURRENT_TUNNELS BINARY_PATH BINARY_URL"),
    ("gradio", "app/guard.py", "gradio.blocks:Blocks", "fns temp_file_sets"),
    ("gradio", "app/hosting.py", "gradio.blocks:Blocks", "server is_running local_url"),
    ("gradio", "app/index.py", "gradio.routes:templates.env.loader", "get_source"),
    ("gradio", "web/theme.py", "gradio.themes:Soft", "_get_theme_css"),
    ("uvicorn", UVICORN, "uvicorn.config:HTTP_PROTOCOLS", "__setitem__"),
    ("uvicorn", UVICORN, "uvicorn.protocols.http.auto:AutoHTTPProtocol", "connections transport client cycle loop"),
    ("uvicorn", UVICORN, "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol", "on_response_complete"),
    ("uvicorn", UVICORN, "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol", "on_message_begin"),
    ("uvicorn", UVICORN, "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol", "on_headers_complete"),
    ("uvicorn", UVICORN, "uvicorn.protocols.http.httptools_impl:RequestResponseCycle", "response_complete"),
    ("fastai", FASTAI, "fastai.data.core:TfmdDL", "_n_inp _types"),
    ("plum-dispatch", FASTAI, "plum:Function", "clear_cache"),
    ("fastprogress", "learning/learner.py", "fastprogress.fastprogress", "NO_BAR"),
    ("fastprogress", "learning/learner.py", "fastprogress.fastprogress:ConsoleProgressBar", "fill"),
    ("pillow", "model/photo.py", "PIL.Image", "OPEN"),
    ("pillow", "model/photo.py", "PIL.WebPImagePlugin:WebPImageFile", "_decoder rawmode"),
    ("urllib3", "download.py", "urllib3.connection:HTTPConnection", "_new_conn"),
    ("urllib3", "download.py", "urllib3.connectionpool:HTTPSConnectionPool", "ConnectionCls"),
    ("urllib3", "download.py", "urllib3.poolmanager:PoolManager", "pool_classes_by_scheme"),
    ("Python", "app/process.py", "multiprocessing.managers:BaseProxy", "_address_to_local"),
]
# Functions that we replace, or call with all their arguments, as the library's file defines them.
ARGUMENTS = [
    ("gradio", GRADIO, "gradio.processing_utils:async_ssrf_protected_download", "url cache_dir"),
    ("gradio", "app/assistant.py", "gradio.mcp:simplify_filedata_schema", "self schema"),
    ("gradio", "app/assistant.py", "gradio.mcp:convert_strings_to_filedata", "self value filedata_positions"),
    ("gradio", "app/assistant.py", "gradio.mcp:postprocess_output_data", "self data root_url"),
    ("fastai", FASTAI, "fastai.distributed:_broadcast", "self t rank"),
    (
        "gradio",
        GRADIO,
        "gradio.networking:setup_tunnel",
        "local_host local_port share_token share_server_address share_server_tls_certificate",
    ),
]
# Texts in the files of a library: a CSS class that we use, and an import that may fail.
WRITTEN = [
    ("gradio", "web/gradio.js", "gradio", "templates/frontend/assets/Blocks-*.js", "show-api"),
    ("gradio", "cli.py", "gradio", "component_meta.py", "inspect.getfile(component_class)"),
    ("gradio", "cli.py", "gradio", "blocks.py", "if _frontend and not networking.url_ok("),
    ("jsonschema", "cli.py", "jsonschema", "_format.py", "from rfc3987_syntax import"),
]


class_source = cache(inspect.getsource)


def changed(library, file, what):
    """Fail with a sentence about what has changed and where it is used."""
    number = python_version() if library == "Python" else version(library)
    pytest.fail(f"{library} {number} has changed: {what}. Change bears/{file}, which depends on that.", pytrace=False)


def has(owner, name):
    """Return whether something has an attribute, or is a class that sets it on its objects."""
    classes = owner.__mro__[:-1] if inspect.isclass(owner) else ()
    return hasattr(owner, name) or any(f"self.{name}" in class_source(cls) for cls in classes)


@pytest.mark.parametrize(("library", "file", "owner", "names"), USED)
def test_names_are_still_there(library, file, owner, names):
    try:
        gone = [name for name in names.split() if not has(resolve_name(owner), name)]
    except (ImportError, AttributeError) as e:
        changed(library, file, e)
    if gone:
        changed(library, file, f"{owner} has no {' and no '.join(gone)}")


@pytest.mark.parametrize(("library", "file", "function", "arguments"), ARGUMENTS)
def test_functions_still_take_the_same_arguments(library, file, function, arguments):
    module, name = function.split(":")
    tree = ast.parse(Path(find_spec(module).origin).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    found = [" ".join(arg.arg for arg in node.args.args) for node in functions if node.name == name]
    if found != [arguments]:
        changed(library, file, f"{function} takes {' or '.join(found) or 'nothing, since it is gone'}")


@pytest.mark.parametrize(("library", "file", "package", "pattern", "text"), WRITTEN)
def test_files_still_say_the_same(library, file, package, pattern, text):
    folder = Path(find_spec(package).origin).parent
    if not any(text in path.read_text(encoding="utf-8") for path in folder.glob(pattern)):
        changed(library, file, f"no {package}/{pattern} has {text!r}")


def private_names(tree):
    """Yield the private names that a file uses or replaces, except `os._exit`, which is documented."""
    for node in ast.walk(tree):
        name = getattr(node, "attr", getattr(node, "name", None))
        if isinstance(name, str) and re.match(r"_[a-z]", name) and name != "_exit":
            yield name


def test_private_names_are_in_the_modules_for_them_only():
    allowed = {ROOT / "bears" / file for _, file, *_ in USED}
    others = {ROOT / "app.py", ROOT / "train.py", *(ROOT / "bears").rglob("*.py")} - allowed
    found = {path.name: set(private_names(ast.parse(path.read_text(encoding="utf-8")))) for path in others}
    assert not {file: names for file, names in found.items() if names}
