"""The book: `make book`. Pages are the repository's own; notebooks are shown as committed."""

import sys
from collections import Counter
from html import escape
from pathlib import Path

import latex2mathml.converter
from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "Two light medical image classifiers, reproduced"
author = "The authors of this repository"
root_doc = "docs/index"
extensions = ["myst_nb"]
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("docs/*.md", "notebooks/*.ipynb", "results/README.md", "results/tables/*.md"),
]
exclude_patterns = [".venv", "build", "helpers", "study", "tests", "params", "results/runs"]

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"  # the default knows no tables
# Pages link to files and folders of the repository, which are no pages of the book.
suppress_warnings = ["myst.xref_missing", "myst.header", "mystnb.unknown_mime_type"]

numfig = True
html_theme = "sphinx_book_theme"
html_title = project
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "navbar_start": [],
    "navbar_persistent": [],  # the search stands in the sidebar
}
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_math_renderer = "mathml"
html_copy_source = False


def put_claims(app, docname: str, source: list[str]) -> None:
    """Fill the page of the claims."""
    if docname == "docs/claims":
        from study.book import claims_page

        source[0] = claims_page()


def unlink_folders(app, doctree: nodes.document) -> None:
    """Leave of a link to a folder of the repository, which is no page, its words."""
    here = (ROOT / app.env.docname).parent
    for link in list(doctree.findall(pending_xref)):
        if link.get("refdomain") is None and (here / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def number_figures(app, doctree: nodes.document) -> None:
    """Make a numbered figure of each picture, named by its text or by the section it stands in."""
    page = app.env.docname.replace("/", "-")
    images = list(doctree.findall(nodes.image))
    captions = [image.get("alt") or _section_of(image, app.env.docname) for image in images]
    count, seen = Counter(captions), Counter()
    for number, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        if count[caption] > 1:
            seen[caption] += 1
            caption = f"{caption}, picture {seen[caption]}"
        figure = nodes.figure("", ids=[f"figure-{page}-{number}"])
        image.replace_self(figure)
        image["alt"] = caption
        figure += [image, nodes.caption("", caption)]


def _section_of(node: nodes.Node, docname: str) -> str:
    """Return the heading above a node, with its notebook's number: "Calibration (notebook 05)"."""
    while not isinstance(node, nodes.section | nodes.document):
        node = node.parent
    title = node.next_node(nodes.title)
    folder, _, name = docname.rpartition("/")
    notebook = f" (notebook {name[:2]})" if folder == "notebooks" else ""
    return (title.astext() if title else "") + notebook


def label_cells(app, doctree: nodes.document) -> None:
    """Give each cell its column's name, as `study.markup` does; see `_static/tables.css`."""
    from study.markup import card_kind, cell_kind

    for table in doctree.findall(nodes.table):
        head, *lines = ([*row.children] for row in table.findall(nodes.row))
        table["classes"] += card_kind(len(head)).split()
        for cell, title in (pair for line in lines for pair in zip(line, head, strict=True)):
            cell["label"] = title.astext()
            cell["classes"] += cell_kind(cell.astext()).split()


def _visit_entry(self, node: nodes.entry) -> None:
    at = len(self.body)
    type(self).visit_entry(self, node)
    if "label" in node:
        named = f'<td data-label="{escape(node["label"])}"'
        self.body[at] = self.body[at].replace("<td", named, 1)


def _depart_entry(self, node: nodes.entry) -> None:
    type(self).depart_entry(self, node)


def _visit_math(display: str):
    def visit(self, node: nodes.Node) -> None:
        formula = latex2mathml.converter.convert(node.astext(), display=display)
        self.body.append(f'<div class="math">{formula}</div>' if display == "block" else formula)
        raise nodes.SkipNode

    return visit


def open_at_contents(app, error: Exception | None) -> None:
    """Let the book's folder open at its contents; pages keep their places in the repository."""
    if error is None and app.builder.format == "html":
        page = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app) -> dict:
    """Add formulas that a browser draws by itself, the page of the claims, and names of cells."""
    inline, block = _visit_math("inline"), _visit_math("block")
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.add_lexer("csv", TextLexer)  # Pygments has none
    app.add_node(nodes.entry, override=True, html=(_visit_entry, _depart_entry))
    app.connect("source-read", put_claims)
    app.connect("doctree-read", number_figures, priority=400)  # before figures are counted
    app.connect("doctree-read", unlink_folders)
    app.connect("doctree-read", label_cells)
    app.connect("build-finished", open_at_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
