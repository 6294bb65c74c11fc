"""Give the reports of `train`, `compare` and `report` the same style."""

from pathlib import Path
from string import Template

STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


def read_template(file: str) -> Template:
    """Return the HTML template next to a module's file, with the common style in its `<style>`."""
    html = Path(file).with_suffix(".html").read_text(encoding="utf-8")
    return Template(html.replace("<style>", f"<style>\n{STYLE}", 1))
