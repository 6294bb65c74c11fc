"""Test that docs, help texts, page strings and docstrings are in plain English (CONTRIBUTING.md).

.venv/bin/python tests/test_words.py    # prints counts and problems for each file
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = re.compile(r"\s*(python3? |\.venv|/|<)")  # blocks of code in a string
LIMIT = 30  # words in a sentence
OPENER = re.compile(r"(What|Where|Who|Whoever|Of|By|From|Nor)\b(?!.*\?$)")  # questions may
RULED_OUT = re.compile(
    r"\b(by night|from afar|anew|besides?|l(ie|ies|ying|ay) in|taken for|passe[sd]? for|can(not)? be had|postcards?"
    r"|(bad|made) (copies|clips)|pockets?|eyes?|doors?|tents?|houses?|(?<!camera )traps?|rooms?)\b",
    re.IGNORECASE,
)
EXCEPTIONS = {
    "Where it looked": "the name of the heatmap in the API, which programs may know",
    "What is this": "a title, which gets a question mark",
    "Permission is hereby granted": "a licence",
    "IN NO EVENT SHALL": "a licence",
    "from ratsakatika/camera-traps": "the name of a repository",
}
CODE = ("bears", "benchmarks", "docs", "tests")  # folders whose docstrings are checked
PATTERNS = [
    "*.md",
    "docs/*.md",
    "examples/*.md",
    "bears/**/*.md",
    "*.py",
    "bears/**/*.py",
    "bears/**/*.js",
    "bears/**/*.html",
]
NO_VERB = re.compile(r"[^A-Z]|(A|All|An|Any|How|If|It|One|That|The|These|This|Those|When|Whether|Which)\b")
FILES = sorted({file for pattern in PATTERNS for file in ROOT.glob(pattern) if "lesson" not in file.parts})


def markdown_texts(text):
    """Yield each heading, list item, table cell and paragraph of a page, without code and addresses."""
    text = re.sub(
        r"\A---\n.*?\n---\n|^( *)```.*?^\1```$|^ {4}[^\n]*$|<(?:img|!--)[^>]*>",
        "\n",
        text,
        flags=re.DOTALL | re.MULTILINE,
    )
    text = re.sub(r"`[^`]+`", "Code", re.sub(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^)]*\)", r"\1", text))
    for block in re.split(r"\n\s*\n|\n(?= *(?:[-*|#>]|\d+\.) ?)", text):
        yield from block.strip(" |").split(" | ") if block.lstrip().startswith("|") else [block]


def python_texts(text):
    """Yield every string of a Python file, including docstrings, without blocks of code."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
            yield re.sub(r"<[^>]*>", "; ", "".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (block for block in re.split(r"\n\s*\n", node.value) if not COMMANDS.match(block))


def page_texts(text):
    """Yield the strings of JavaScript, or the words and labels of HTML."""
    strings = r'"((?:[^"\\\n]|\\.)*)"|' + (r">([^<>{}]+)<" if text.startswith("<") else r"`((?:[^`\\]|\\.)*)`")
    yield from map("".join, re.findall(strings, text))


def sentences(file):
    """Return the sentences of a file that have three words or more."""
    texts = {".md": markdown_texts, ".py": python_texts}.get(file.suffix, page_texts)
    found = []
    for block in texts(file.read_text(encoding="utf-8")):
        block = re.sub(r"^(?:[-*#>]+|\d+\.)\s+", "", " ".join(block.split()))
        found += re.split(r"(?<=[.!?…:;])[”\")*]*\s+(?=[*“\"(‘…]*[A-Z0-9`])", block)
    return [sentence.strip('*“"(_… ') for sentence in found if len(sentence.split()) > 2]


def problems(file):
    """Yield the problems with the sentences of a file."""
    for sentence in sentences(file):
        if any(sentence.startswith(words) for words in EXCEPTIONS):
            continue
        if len(sentence.split()) > LIMIT:
            yield f"{len(sentence.split())} words: {sentence}"
        if OPENER.match(sentence) or RULED_OUT.search(sentence):
            yield f"opening or word: {sentence}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_sentence_is_short_and_plain(file):
    assert not list(problems(file))


def docstrings():
    """Yield the docstrings of all Python files, with the file."""
    for file in (*ROOT.glob("*.py"), *(f for name in CODE for f in ROOT.glob(f"{name}/**/*.py"))):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield file.relative_to(ROOT).as_posix(), ast.get_docstring(node) or "Return"


def test_every_docstring_opens_with_a_verb():
    assert not [found for found in docstrings() if NO_VERB.match(found[1]) or OPENER.match(found[1])]


if __name__ == "__main__":
    for file in FILES:
        found, wrong = sentences(file), list(problems(file))
        words = " ".join(found)
        you = 100 * len(re.findall(r"\byou", words, re.IGNORECASE)) / max(1, len(words.split()))
        odd = sum(bool(OPENER.match(sentence)) for sentence in found)
        print(f"{file.relative_to(ROOT)}: {len(found)} sentences, {odd} odd openings, {you:.1f} you in 100 words")
        print(*(f"  {problem}" for problem in wrong), sep="\n", end="\n" * bool(wrong))
