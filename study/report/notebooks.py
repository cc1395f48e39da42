"""Executed notebooks as HTML pages that need no network, and link only to what is there."""

import base64
import html
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jinja2
import matplotlib
import nbformat
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from nbconvert import HTMLExporter

from helpers.paths import repo_root, write_atomically

TRAINING = "04_train__"
_OUTSIDE = re.compile(r"(https?|mailto|data):", re.IGNORECASE)
# Code first, so that a dollar in it is no formula; as in pandoc, a formula touches its dollars.
_CODE_OR_MATH = re.compile(
    r"(?P<code>(?P<ticks>`+).+?(?P=ticks))|\$(?P<tex>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)", re.DOTALL
)
_ANCHOR = re.compile(r'<a\b([^>]*?)\bhref="([^"]*)"([^>]*)>(.*?)</a>', re.DOTALL)
# Of the size of the text around it, by eye.
_MATH_POINTS = 13


@dataclass(frozen=True)
class NotebookPage:
    """A page beside the report.

    Attributes:
        href: its file name.
        title: of the notebook; of a training run, what was trained.
        training: whether it is one run of 04_train.
    """

    href: str
    title: str
    training: bool


def write_notebooks(
    executed: Path, folder: Path, *, committed: Path | None = None
) -> list[NotebookPage]:
    """Write executed notebooks as HTML into the report's folder.

    Args:
        executed: folder of `*.ipynb`; it may not exist.
        folder: where the pages go; pages of notebooks that are gone are removed.
        committed: folder of further notebooks, shown where `executed` has none of the same name;
            those without any output are left out.

    Returns:
        The pages in order of file names.
    """
    read = {}
    for path in committed.glob("*.ipynb") if committed else ():
        notebook = nbformat.read(path, as_version=4)
        if any(cell.get("outputs") for cell in notebook.cells):
            read[path.stem] = notebook
    read |= {path.stem: nbformat.read(path, as_version=4) for path in executed.glob("*.ipynb")}
    hrefs = {stem: f"{re.sub(r'[^A-Za-z0-9_.-]', '_', stem)}.html" for stem in sorted(read)}
    pages = []
    for stem, href in hrefs.items():
        notebook = read[stem]
        body = notebook_html(notebook, name=stem, hrefs=hrefs)
        with write_atomically(folder / href) as temporary:
            temporary.write_text(body, encoding="utf-8")
        training = stem.startswith(TRAINING)
        title = stem.removeprefix(TRAINING).replace("__", " / ")
        if not training:
            title = _heading(notebook) or stem
        pages.append(NotebookPage(href, title, training))
    kept = {page.href for page in pages} | {"index.html"}
    for page in folder.glob("*.html"):
        if page.name not in kept:
            page.unlink()
    return pages


def notebook_html(notebook: nbformat.NotebookNode, *, name: str, hrefs: Mapping[str, str]) -> str:
    """Return a notebook as a page.

    The page loads nothing: formulas become pictures, and nbconvert's scripts are left out. Links
    to notebooks lead to their pages, other links into the repository become plain text.

    Args:
        notebook: executed.
        name: of its file, without suffix.
        hrefs: name of a notebook -> its page, for those that have one.
    """
    notebook = notebook.copy()
    notebook.cells = [_with_formulas(cell) for cell in notebook.cells]
    exporter = HTMLExporter(template_name="lab", embed_images=True)
    resources: dict[str, Any] = {
        # Pictures are named as seen from the notebook's own folder, wherever it was executed.
        "metadata": {"name": _heading(notebook) or name, "path": str(repo_root() / "notebooks")}
    }
    body, _ = exporter.from_notebook_node(notebook, resources)
    head, end, rest = body.partition("</head>")
    head = re.sub(r"<script\b.*?</script>", "", head, flags=re.DOTALL)
    environment = jinja2.Environment(loader=jinja2.PackageLoader("study"))
    style = environment.get_template("report_notebook.css.j2").render()
    rest = rest.replace(
        "<main>", '<main>\n<p class="back"><a href="index.html">← Report</a></p>', 1
    )
    rest = _ANCHOR.sub(lambda found: _linked(found, hrefs), rest)
    return f"{head}<style>\n{style}\n</style>\n{end}{rest}"


def _linked(anchor: re.Match, hrefs: Mapping[str, str]) -> str:
    before, href, after, text = anchor.groups()
    target = html.unescape(href)
    if target.startswith("#") or target == "index.html" or _OUTSIDE.match(target):
        return anchor[0]
    path, mark, fragment = target.partition("#")
    file = Path(unquote(path))
    if file.suffix == ".ipynb" and file.stem in hrefs:
        found = html.escape(f"{hrefs[file.stem]}{mark}{fragment}")
        return f'<a{before}href="{found}"{after}>{text}</a>'
    return f'<span title="{html.escape(target)}">{text}</span>'


def _with_formulas(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    if cell.cell_type != "markdown":
        return cell
    cell = cell.copy()
    cell["source"] = _CODE_OR_MATH.sub(
        lambda found: found["code"] or formula(found["tex"]), cell.source
    )
    return cell


def formula(tex: str) -> str:
    """Return a formula as a picture in HTML; what matplotlib cannot set stays as it is written."""
    buffer = io.BytesIO()
    try:
        with matplotlib.rc_context({"svg.hashsalt": tex, "mathtext.fontset": "stix"}):
            font = FontProperties(size=_MATH_POINTS)
            depth = math_to_image(f"${tex}$", buffer, prop=font, format="svg")
    except ValueError:
        return f"<code>{html.escape(tex)}</code>"
    svg = buffer.getvalue().decode()
    # The date would make two reports of the same notebook differ.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    place = f"vertical-align:-{depth:.2f}pt"
    return f'<img class="formula" alt="{html.escape(tex)}" style="{place}" src="{source}">'


def _heading(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook's first heading, "" if it has none."""
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and found:
            return found[1].strip()
    return ""
