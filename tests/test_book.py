"""The book: every claim has an address, a check's source and its runs; nothing is fetched."""

import re
import subprocess
import sys

import pytest

from helpers.paths import repo_root, results_root
from study.book import claims_page, run_names
from study.claims.ledger import load_claims

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*(?:src|href)=["'](?:https?:)?//[^"']+"""
    r"""|url\(["']?(?:https?:)?//[^)]+|@import\s+["'](?:https?:)?//[^"']+""",
    re.IGNORECASE,
)

# As typography leaves "| --- | --- |".
RAW_TABLE = re.compile(r"\|\s*(?:—|---|-–)\s*\|")


@pytest.fixture(scope="module")
def page():
    return claims_page()


def test_every_claim_has_an_address_and_its_check(page):
    claims = load_claims()
    addresses = re.findall(r'<span id="([^"]+)"></span>', page)
    assert addresses == [claim.id for claim in claims]
    sections = re.split(r'<span id="', page)[1:]
    for claim, section in zip(claims, sections, strict=True):
        assert claim.claim in section
        assert bool(claim.cannot) != ("```python\n" in section), claim.id


def test_a_claim_leads_to_its_runs_by_name(page):
    assert [*run_names(["full_set: a; b, c", "d: e, f"])] == [
        "full_set: a",
        "b",
        "c",
        "d: e",
        "d: f",
    ]
    led = set(re.findall(r"\]\(#(runs-[^)]+)\)", page))
    listed = dict(re.findall(r"^\((runs-.+)\)=\n.+\n\n((?:- .+\n)+)", page, re.MULTILINE))
    assert led == set(listed)
    folders = re.findall(r"- `(.+)`, seeds (\d+)", "".join(listed.values()))
    assert len(folders) > 20
    for folder, seed in folders:
        assert (results_root() / "runs" / f"{folder}_s{seed}" / "run.json").is_file(), folder
    assert "Runs: [`ablation: focal`](#runs-ablation-focal); all" in page


@pytest.mark.parametrize(
    "text",
    [
        '<script async src="https://cdn.example/x.js">',
        "<link rel='stylesheet' href='//cdn.example/x.css'>",
        "@font-face { src: url(https://cdn.example/x.woff) }",
    ],
)
def test_a_request_to_another_host_is_seen(text):
    assert FETCHED.search(text)


@pytest.mark.slow
def test_the_book_is_built_without_a_warning_and_asks_no_other_host(tmp_path):
    root = repo_root()
    command = [sys.executable, "-m", "sphinx", "--quiet", "-W", "-b", "html", "-c"]
    subprocess.run([*command, str(root / "docs"), str(root), str(tmp_path)], check=True)
    pages = [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]
    assert len(pages) > len(list((root / "notebooks").glob("*.ipynb")))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not FETCHED.findall(text), page
        assert not RAW_TABLE.search(text), f"{page}: a Markdown table shown as text"
        led, there = (set(re.findall(f'{key}="([^"]+)"', text)) for key in ("href", r"\bid"))
        assert {to[1:] for to in led if to[0] == "#" and to != "#"} <= there, page
    assert 'id="B26"' in (tmp_path / "docs" / "claims.html").read_text(encoding="utf-8")
    alts = [alt for page in pages for alt in re.findall('<img alt="(.*?)"', page.read_text())]
    assert len(alts) == len(set(alts)) > 20
    assert 'url=docs/index.html"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    results = (tmp_path / "results" / "README.html").read_text(encoding="utf-8")
    assert 'data-label="verdict"' in results and "_static/tables.css" in results
    images = (tmp_path / "_images").iterdir()
    assert sum(image.suffix == ".png" for image in images) > 20
    assert "<math" in (tmp_path / "notebooks" / "02_models.html").read_text(encoding="utf-8")
