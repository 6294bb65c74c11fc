"""Give the reports of `train`, `compare` and `report` the same head and style."""

from pathlib import Path
from string import Template

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
"""
STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


def read_template(file: str) -> Template:
    """Return a module's HTML template, with the head and the styles that all reports share.

    The template is next to the module `file`, and begins with the report's own `<style>`. The head contains `$title`.
    """
    html = Path(file).with_suffix(".html").read_text(encoding="utf-8")
    return Template(HEAD + html.replace("<style>", f"<style>\n{STYLE}", 1))
