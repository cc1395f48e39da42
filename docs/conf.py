"""The book: `make book`. Pages are the repository's own; notebooks are shown as committed."""

import sys
from pathlib import Path

import latex2mathml.converter
from docutils import nodes

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
html_math_renderer = "mathml"
html_copy_source = False


def put_claims(app, docname: str, source: list[str]) -> None:
    """Fill the page of the claims."""
    if docname == "docs/claims":
        from study.book import claims_page

        source[0] = claims_page()


def number_figures(app, doctree: nodes.document) -> None:
    """Make a numbered figure of each picture, named by its text or by the section it stands in."""
    page = app.env.docname.replace("/", "-")
    for number, image in enumerate(list(doctree.findall(nodes.image)), start=1):
        caption = image.get("alt") or _section_of(image)
        figure = nodes.figure("", ids=[f"figure-{page}-{number}"])
        image.replace_self(figure)
        figure += [image, nodes.caption("", caption)]


def _section_of(node: nodes.Node) -> str:
    while not isinstance(node, nodes.section | nodes.document):
        node = node.parent
    title = node.next_node(nodes.title)
    return title.astext() if title else ""


def _visit_math(display: str):
    def visit(self, node: nodes.Node) -> None:
        formula = latex2mathml.converter.convert(node.astext(), display=display)
        self.body.append(f'<div class="math">{formula}</div>' if display == "block" else formula)
        raise nodes.SkipNode

    return visit


def setup(app) -> dict:
    """Add formulas that a browser draws by itself, and the page of the claims."""
    inline, block = _visit_math("inline"), _visit_math("block")
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("source-read", put_claims)
    app.connect("doctree-read", number_figures, priority=400)  # before figures are counted
    return {"parallel_read_safe": True, "parallel_write_safe": True}
