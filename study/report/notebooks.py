"""The notebooks that the runs of a profile executed, as pages beside its report.

A page loads nothing: formulas are MathML, and there are no scripts. The committed notebooks are
pages of the book.
"""

import re
from pathlib import Path

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert
from markupsafe import Markup, escape
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from helpers.files import load_template
from helpers.paths import write_text


class _Renderer(IPythonRenderer):
    """Formulas as MathML, and links as their words where they do not lead outside."""

    def block_math(self, body: str) -> str:
        return formula(body, display="block")

    def inline_math(self, body: str) -> str:
        return formula(body)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, url, title) if re.match("https?:", url) else text


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source: str) -> str:
        renderer = _Renderer(escape=False, exclude_anchor_links=True)
        return MarkdownWithMath(renderer=renderer).render(source)


def formula(tex: str, *, display: str = "inline") -> str:
    """Return a formula as MathML; what cannot be set stays as it is written."""
    try:
        return convert(tex, display=display)
    except Exception:  # of many kinds, and none of them is worth the page
        return f"<code>{escape(tex)}</code>"


def write_pages(executed: Path, folder: Path) -> list[str]:
    """Write executed notebooks as HTML beside the report; pages of those that are gone are removed.

    Returns the names of the notebooks, which with ".html" are those of the pages. The folder of
    executed ones may not exist.
    """
    template = load_template("report_notebook.html.j2", package="study")
    names = sorted(path.stem for path in executed.glob("*.ipynb"))
    for name in names:
        notebook = nbformat.read(executed / f"{name}.ipynb", as_version=4)
        body, _ = _Exporter(template_name="basic").from_notebook_node(notebook)
        write_text(folder / f"{name}.html", template.render(title=name, body=Markup(body)))
    for page in folder.glob("*.html"):
        if page.stem not in {*names, "index"}:
            page.unlink()
    return names
