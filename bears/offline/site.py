"""Create all files of the offline version: the front end, the ONNX graph, ONNX Runtime and the service worker."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from urllib.parse import quote

from bears.files import fingerprint
from bears.model import photo
from bears.model.answers import GROUP, NONE, SURE, UNSURE, Limits, either
from bears.model.classifier import Classifier, limits_of
from bears.model.export import open_export
from bears.model.heatmap import PALETTE, draw_heatmap
from bears.model.metadata import read_facts
from bears.model.ood import LIKELY
from bears.model.squares import CLOSER, HOPELESS, MAX_RATIO
from bears.model.wording import (
    ALONE,
    LEANING,
    WATCHED_ALONE,
    about,
    camera_words,
    example_name,
    examples_to_send,
    headline,
    invitation,
    page_title,
    photo_words,
)
from bears.offline.graph import export_graph, find_shape
from bears.offline.parity import GraphSquares, check
from bears.offline.runtime import MODULE, WASM, fetch_runtime
from bears.static_site import POLICY
from bears.web.files import ICON, MODULES, WEB, style, text_of
from bears.web.first import answer_first
from bears.web.theme import theme_css
from markdown_it import MarkdownIt

ASSETS = WEB / "offline"
# Files of the offline version: modules that the page loads, modules that its web worker loads, and others.
PAGE = [*MODULES, *(f"offline/{name}.js" for name in ("backend", "model", "offline", "tabs", "words"))]
WORKER = [f"offline/{name}.js" for name in ("heatmap", "photo", "pixels", "squares", "worker")]
OTHERS = ["offline/start.js", "offline/offline.css"]
# Limits of the app for photos. bears/web/offline/photo.js gets the same limits.
LIMITS = {name: getattr(photo, name) for name in ("MAX_MEGAPIXELS", "MAX_MEGAPIXELS_JPEG", "MAX_RATIO", "SIDE")}
ICONS = {"icon-192.png": "192x192", "icon-512.png": "512x512", "icon-maskable.png": "512x512"}


def build(export: Path, trust: bool, photos: list[Path], say: Callable) -> dict[str, bytes]:
    """Return the offline version as a dict from file name to contents. Report each step with `say(sentence)`.

    Raises `OfflineError` if the ONNX graph and the model give different answers about the examples or `photos`.
    """
    facts, model, learn = read_facts(export), Classifier(export, trust, detect=False), open_export(export, trust)
    shape, examples = find_shape(learn), examples_to_send(export, facts)
    runtime = fetch_runtime()
    say("Exporting the model to ONNX…")
    graph, names = export_graph(learn, shape)
    fitted = getattr(learn, "ood", None)
    shown = offered(examples)
    asked = [file for _, file in shown] + photos
    say(f"Comparing the exported model with the original on {len(asked)} photos…")
    count, apart = check(model, GraphSquares(graph, names, shape, fitted), asked)
    say(f"The answers agree on all {count} images (photos and halves). Largest difference in probability: {apart:.0e}.")
    files = {name: (WEB / name).read_bytes() for name in (*PAGE, *WORKER, *OTHERS)}
    files |= {name: (ASSETS / name).read_bytes() for name in ICONS}
    files |= {name: file.read_bytes() for name, file in examples.items()}
    files |= {"ort.js": runtime[MODULE], "icon.svg": ICON.read_bytes(), "page.css": with_colours(style()).encode()}
    packed = {named(f"{name}.bin", data): data for name, data in pack(model=graph, runtime=runtime[WASM])}
    files |= packed
    engine = {**how_to_look(learn, shape, fitted), "outputs": names, **dict(zip(("graph", "runtime"), packed))}
    engine["bytes"] = sum(map(len, packed.values()))
    files["model.json"] = as_json({**engine, "export": fingerprint(export)})
    first = answer_first(partial(predict, model), shown, facts)
    if first.get("map"):
        files["first.jpg"], first["map"] = first["map"], "first.jpg"
    scripts = [f for f in files if f.endswith((".js", ".css"))]
    files["index.html"] = page(learn, facts, shown, first, scripts).encode()
    files["manifest.webmanifest"] = as_json(manifest(facts))
    return {**files, "sw.js": service_worker(files)}


def offered(examples):
    """Return pairs of URL and file for the photos in `examples`, without the files about their licences."""
    return [(quote(name), file) for name, file in examples.items() if name.endswith(".jpg")]


def predict(model, file):
    """Classify the photo in `file`, as `LearnerProcess.predict` does in the app."""
    image = photo.open_photo(file)
    [(probs, certainty, cam, *boxes, _)] = model.ask([image])
    return probs, certainty, draw_heatmap(image, cam, *boxes), model.limits


def pack(**parts):
    """Yield each name with its data, compressed with gzip, since some hosts don't compress files themselves."""
    for name, data in parts.items():
        yield name, gzip.compress(data, 9, mtime=0)


def unpack(files: dict[str, bytes]) -> tuple[bytes, list[str]]:
    """Return the ONNX graph from the files of an offline version, and the names of its outputs."""
    engine = json.loads(files["model.json"])
    return gzip.decompress(files[engine["graph"]]), engine["outputs"]


def named(name, data):
    """Insert the hash of `data` into a file name, so that no cache delivers an older file."""
    stem, _, kind = name.partition(".")
    return f"{stem}-{hashlib.sha256(data).hexdigest()[:12]}.{kind}"


def as_json(what):
    return json.dumps(what, ensure_ascii=False, separators=(",", ":")).encode()


def how_to_look(learn, shape, fitted):
    """Return the settings for bears/web/offline/squares.js: sizes, thresholds, classes and the heatmap's colours."""
    rule = {name: (fitted or {}).get(name, default) for name, default in (("likely", LIKELY), ("groups", []))}
    numbers = {**shape, **rule, "classes": list(learn.dls.vocab), "ratio": MAX_RATIO}
    if fitted is not None:
        limits = {"threshold": fitted["threshold"], "sure": fitted["sure"], "hopeless": HOPELESS * fitted["threshold"]}
        numbers |= {**limits, "closer": round(CLOSER * shape["side"]) * (shape["size"] // shape["side"])}
    return numbers | {"palette": base64.b64encode(PALETTE).decode()}


def words(classes, facts, limits):
    """Return the verdicts for each class and kind of answer (bears/model/wording.py).

    A sure verdict is split into two texts at the percentage, which the browser inserts.
    """
    groups = Limits(groups=limits.groups)

    def says(label, certainty, others=0.0):
        return headline({**dict.fromkeys(classes, others), label: 0.5}, certainty, facts, groups)

    sure = {label: says(label, SURE).rsplit("50%", 1) for label in classes}
    none = headline(dict.fromkeys(classes, 0.0), NONE, facts)
    group = {
        label: {"name": either(group), "classes": group, "verdicts": [says(label, GROUP, 0.4), says(label, GROUP)]}
        for group in limits.groups
        for label in group
    }
    unsure = {label: says(label, UNSURE) for label in classes}
    return {"sure": sure, "unsure": unsure, "none": none, "group": group, "leaning": LEANING}


def page(learn, facts, examples, first, files):
    """Return index.html, with the tabs of the app.

    `examples` are from `offered`. `first` is the answer that is shown at the start, or an empty dict. `files` are the
    scripts and styles that start.js loads again if the page can't start.
    """
    classes = list(learn.dls.vocab)
    known = {**facts, "classes": classes}
    offers = [(address, example_name(file, facts)) for address, file in examples]
    shown = {"examples": offers, "first": first or None, **photo_words(known)}
    tabs = {"page": shown, "camera": camera_words(known, WATCHED_ALONE)}
    limits = limits_of(learn)
    said = {"classes": classes, "words": words(classes, facts, limits), "earned": limits.earned, "limits": LIMITS}
    props = as_json({**tabs, **said, "files": files}).decode()
    parts = {
        "csp": POLICY,
        "title": escape(page_title(facts)),
        "description": escape(invitation(facts)),
        "page": text_of("page.html"),
        "camera": text_of("camera.html"),
        "preload": "\n".join(f'<link rel="modulepreload" href="{name}">' for name in PAGE),
        "about": MarkdownIt("commonmark", {"html": False}).render(about(facts, ALONE)),
        "props": props.replace("<", "\\u003c"),
    }
    template = (ASSETS / "index.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{ (\w+) \}\}", lambda m: parts[m[1]], template)


def with_colours(css):
    """Return the style sheet `css` with the variables of Gradio's theme that it uses, for light and dark mode."""
    light, dark = re.findall(r"\{(.*?)\}", theme_css(), re.S)[:2]
    light, dark = (dict(re.findall(r"(--[\w-]+):\s*([^;]+);", part)) for part in (light, dark))
    used, new = set(), set(re.findall(r"var\((--[\w-]+)", css + (ASSETS / "offline.css").read_text(encoding="utf-8")))
    while new:
        used |= new
        values = " ".join(theme.get(name, "") for theme in (light, dark) for name in new)
        new = set(re.findall(r"var\((--[\w-]+)", values)) - used
    light, dark = ("".join(f"{name}:{theme[name]};" for name in sorted(used & theme.keys())) for theme in (light, dark))
    css = re.sub(r"^\.dark (\{.*\})$", r"@media (prefers-color-scheme: dark) {:root \1}", css, flags=re.M)
    return f":root {{{light}}}\n@media (prefers-color-scheme: dark) {{:root {{{dark}}}}}\n{css}"


def manifest(facts):
    """Return the web app manifest (https://www.w3.org/TR/appmanifest), so that browsers offer to install the page."""
    colour = "#f5f5f4"
    return {
        "name": page_title(facts),
        "short_name": (facts.get("subject") or "Offline").capitalize(),
        "description": invitation(facts),
        "lang": "en",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": colour,
        "theme_color": colour,
        "icons": [
            {"src": name, "sizes": sizes, "type": "image/png", "purpose": "maskable" if "mask" in name else "any"}
            for name, sizes in ICONS.items()
        ],
    }


def service_worker(files):
    """Return the service worker, which stores `files` in the browser. The worker's version is a hash of `files`."""
    hashes = {quote(name): hashlib.sha256(data).hexdigest() for name, data in files.items() if not name.endswith(".md")}
    script = (ASSETS / "sw.js").read_text(encoding="utf-8")
    version = hashlib.sha256(as_json(hashes) + script.encode()).hexdigest()[:12]
    values = {"VERSION": version, "FILES": hashes, "CSP": POLICY}  # constants above the script
    return "".join(f"const {name} = {json.dumps(value)}\n" for name, value in values.items()).encode() + script.encode()
