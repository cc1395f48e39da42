"""The pages that people read first: links that lead somewhere, commands that exist."""

import importlib.util
import json
import re

import pandas as pd
import pytest

from helpers.models.backbones import build_trunk
from helpers.models.counting import count_parameters
from helpers.paths import repo_root
from study.__main__ import COMMANDS
from study.published import lookup

ROOT = repo_root()
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "results/README.md",
    *(f"docs/{f.name}" for f in ROOT.glob("docs/*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
# What a page's code marks, whole lines of code blocks and pieces between backticks alike.
CODE = re.compile(r"```.*?\n(.*?)```|`([^`\n]+)`", re.DOTALL)


def code_of(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join("".join(found) for found in CODE.findall(text))


def anchors(page):
    """Return the addresses of a page's headings, as the hosting site makes them."""
    heads = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in LINK.findall(text):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            name = target.resolve().relative_to(ROOT).as_posix()
            assert anchor in anchors(name), f"{page} links to {link}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists(page):
    code = code_of(page)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"\bmake ([a-z]+)", code):
        assert name in targets, f"{page}: make {name}"
    for name in re.findall(r"python -m ((?:helpers|study|benchmarks)[\w.]*)", code):
        assert importlib.util.find_spec(name), f"{page}: python -m {name}"
    for name in re.findall(r"python -m study (\w+)", code):
        assert name in COMMANDS, f"{page}: python -m study {name}"
    for line in re.findall(r"papermill (notebooks/.*)", code):
        notebook = json.loads((ROOT / line.split()[0]).read_text())
        (cell,) = [
            "".join(cell["source"])
            for cell in notebook["cells"]
            if "parameters" in cell["metadata"].get("tags", [])
        ]
        for name in re.findall(r"-p (\w+)", line):
            assert re.search(rf"^{name} = ", cell, re.MULTILINE), f"{page}: -p {name}"


def test_the_answer_in_words_is_that_of_the_tables():
    """The sentences are a person's; their figures are those of the generated tables."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = pd.read_csv(ROOT / "results/tables/medmnist_accuracy.csv")
    rows = rows[rows["protocol"].str.contains("200 epochs", na=False)]
    rows = rows[(rows["dataset"] == "breastmnist") & (rows["pretrained"] == "imagenet")]
    ours = rows.set_index("model")
    means = [f"{100 * ours.loc[m, 'accuracy_mean']:.1f} %" for m in ("medspectralnet", "resnet18")]
    seeds = {ours.loc[model, "n_seeds"] for model in ("medspectralnet", "resnet18")}
    assert seeds == {5} and "five seeds each" in text
    assert f"MedSpectralNet has {means[0]} and a plain ResNet-18 {means[1]}" in text
    pairs = pd.read_csv(ROOT / "results/tables/table2_comparisons.csv").set_index("comparison")
    pneumonia = pairs.loc["resnet18_pneumoniamnist"]
    a, b = (100 * pneumonia[f"accuracy_{side}"] for side in "ab")
    assert f"it has {a:.1f} % against {b:.1f} %" in " ".join(text.split())
    shown = {m: pairs[f"{m}_shown"] for m in ("accuracy", "auc")}
    assert [shown["accuracy"][n] for n in pairs.index if n.startswith("resnet18_")] == [0, 1]
    assert [shown["auc"][n] for n in pairs.index if n.startswith("resnet18_")] == [0, 1]
    trunk, _ = build_trunk("resnet18", in_channels=3, image_size=224, pretrained="none")
    count = count_parameters(trunk) / 1e6
    assert f"has {count:.2f} M parameters before anything is added" in text
    printed = lookup(paper="B", table="Fig. 14", row="MedSpectralNet", column="params")
    assert f"{printed.printed} M are printed" in text


def test_the_first_page_is_short_and_has_its_pictures():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 130
    assert len(re.findall(r"!\[[^\]]{20,}\]\(docs/pictures/\w+\.png\)", text)) == 3
