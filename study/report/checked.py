"""The study's own results on a page of small runs, and whether they came out again."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image

from helpers.paths import repo_root
from study.report.pictures import Picture
from study.reproduced import sentence
from study.tables.__main__ import markers

PICTURE = "docs/pictures/answer.png"


def section(file: Path) -> dict[str, Any] | None:
    """Return what a page says of the study beside other runs, None where it was not checked.

    Args:
        file: written by `python -m study check`.

    Returns:
        `sentence`; `answer`, the README's block, in markdown; `picture`, its figure.
    """
    if not file.exists():
        return None
    page = (repo_root() / "README.md").read_text(encoding="utf-8")
    begin, end = markers("answer")
    alt = re.search(rf"!\[([^\]]*)\]\({re.escape(PICTURE)}\)", page)
    drawn = (repo_root() / PICTURE).read_bytes()
    with Image.open(io.BytesIO(drawn)) as image:
        size = image.size
    return {
        "sentence": sentence(json.loads(file.read_text(encoding="utf-8"))),
        "answer": page.partition(begin)[2].partition(end)[0].strip(),
        "picture": Picture(alt[1] if alt else "", base64.b64encode(drawn).decode(), *size),
    }
