"""HTML pages for tests: parsed as a browser would, their links followed, their width measured."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

VOID = {"meta", "img", "br", "hr", "link", "input", "col"}
# Published works and project pages; they are not fetched.
OUTSIDE = re.compile(r"https://(arxiv\.org/abs/\d{4}\.\d{5}|doi\.org/10\.\d{4,}/\S+)")
# What Chromium is called on Debian, Ubuntu, Fedora and macOS.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Page(HTMLParser):
    """Collects what tests ask about, and checks that tags are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"[ \n\t]+", " ", " ".join(self.words)).strip()

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def ids(self):
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]


def broken_links(folder: Path) -> list[str]:
    """Return all links and sources in a folder's pages that lead nowhere, with their page."""
    pages = {path.name: Page(path.read_text(encoding="utf-8")) for path in folder.glob("*.html")}
    broken = []
    for name, page in sorted(pages.items()):
        targets = [a[key] for _, a in page.tags for key in ("href", "src") if key in a]
        for target in targets:
            file, _, fragment = target.partition("#")
            file = unquote(file)
            if target.startswith("data:image/") or OUTSIDE.fullmatch(target):
                continue
            known = pages.get(file or name)
            there = known is not None or (":" not in file and (folder / file).is_file())
            # As a browser does it: as written, then with its escapes undone.
            wanted = {fragment, unquote(fragment)}
            if not there or (fragment and (known is None or not wanted & {*known.ids})):
                broken.append(f"{name}: {target}")
    return broken


def browser() -> str | None:
    """Return a Chromium's path, None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


_MEASURE = """
window.addEventListener("load", () => {
  const measured = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, top = page.scrollingElement;
    for (const fold of page.querySelectorAll("details")) fold.open = true;
    const scrolls = (e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
    const boxes = [...page.querySelectorAll("body *")].filter(
      (e) => scrolls(e) && e.scrollWidth > e.clientWidth + 1);
    measured[frame.name] = [top.clientWidth, top.scrollWidth, boxes.length];
  }
  document.querySelector("pre").textContent = JSON.stringify(measured);
});
"""


def measure(
    pages: Mapping[str, str], widths: Sequence[int], folder: Path
) -> dict[tuple[str, int], tuple[int, int, int]]:
    """Measure pages in headless Chromium, all folds open.

    Args:
        pages: name -> HTML.
        widths: of the window, in CSS pixels.
        folder: for the browser's files.

    Returns:
        (name, width) -> width of the window, width of the content, boxes that scroll sideways.
    """
    frames = "".join(
        f'<iframe name="{name}|{width}" width="{width}" height="800" srcdoc="{escape(html)}" '
        'style="border:0"></iframe>'
        for name, html in pages.items()
        for width in widths
    )
    file = folder / "frames.html"
    file.write_text(f"<!doctype html><pre></pre>{frames}<script>{_MEASURE}</script>")
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'browser'}", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert found, f"nothing was measured: {done.stderr[-500:]}"
    return {
        (name.partition("|")[0], int(name.partition("|")[2])): tuple(sizes)
        for name, sizes in json.loads(unescape(found[1])).items()
    }
