"""The report page: stamps, tables, figures, links, escaping; parsed as a browser would."""

import base64
import re
from html.parser import HTMLParser

import nbformat
import pytest

from helpers import report
from helpers.results import list_runs
from tests.fabricated import fabricate_run

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects what the tests ask about, and checks that tags are closed in order."""

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

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def ids(self):
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    return tmp_path


def rendered(store, profile="paper"):
    root = store if profile == "paper" else store / profile
    return Page(report.render(list_runs(root), profile=profile))


def write_notebook(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(c) for c in cells])
    nbformat.write(notebook, path)


def test_the_page_is_one_file_without_broken_links(store):
    fabricate_run("breastmnist", "resnet18", pretrained="none", profile="quick")
    executed = store / "quick" / "executed"
    write_notebook(executed / "01_data.ipynb", "intro", "# What the images are\nmore")
    write_notebook(executed / "04_train__common__breastmnist__a b&c_s0.ipynb", "# One run")
    index = report.build_report("quick")
    assert index == store / "quick" / "report" / "index.html"
    page = Page(index.read_text(encoding="utf-8"))
    links = [attrs["href"] for attrs in page.all("a")]
    assert len(links) >= 7
    for link in links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert (index.parent / link).is_file(), link
    assert len(page.ids) == len(set(page.ids))
    # Nothing is loaded from elsewhere.
    assert not page.all("link")
    assert not page.all("script")
    for image in page.all("img"):
        assert image["src"].startswith("data:image/png;base64,")
        assert base64.b64decode(image["src"].partition(",")[2]).startswith(b"\x89PNG")
        assert image["alt"]
    assert "What the images are" in page.text
    assert "common / breastmnist / a b&c_s0" in page.text
    assert "1 training run, one notebook each" in page.text


def test_pages_of_removed_notebooks_go_away(store):
    fabricate_run(profile="quick")
    notebook = store / "quick" / "executed" / "05_evaluate.ipynb"
    write_notebook(notebook, "# Evaluation")
    folder = report.build_report("quick").parent
    assert (folder / "05_evaluate.html").exists()
    notebook.unlink()
    report.build_report("quick")
    assert sorted(path.name for path in folder.iterdir()) == ["index.html"]


def test_quick_is_stamped_and_never_judged(store):
    for seed in range(5):
        fabricate_run(seed=seed, profile="quick")
    page = rendered(store, "quick")
    assert "Quick profile: small budget, not the paper's protocol." in page.text
    assert "PHANTOM" not in page.text
    assert "reproduced;" not in page.text
    assert "86.5" not in page.text
    assert "published, verdict" not in page.text


def test_paper_runs_stand_beside_the_published_value_with_a_verdict(store):
    for seed in range(5):
        fabricate_run(seed=seed, wrong=21 + seed)
    page = rendered(store)
    assert "Quick profile" not in page.text
    assert "86.5 (MedSpectralNet) reproduced; epochs 3, published 200" in page.text
    mean = sum(1 - (21 + s) / 156 for s in range(5)) / 5
    assert f"{100 * mean:.1f} ± 1.0" in page.text
    assert "Not run: PneumoniaMNIST, BloodMNIST, DermaMNIST, OrganCMNIST, OrganSMNIST." in page.text
    assert "0123456789abcdef" in page.text


def test_phantom_data_is_stamped_and_ranked_apart(store):
    fabricate_run("phantom", "medspectralnet")
    page = rendered(store)
    assert "PHANTOM DATA All runs used synthetic angiograms" in page.text
    assert all(image["alt"].endswith(", phantom data") for image in page.all("img"))
    fabricate_run("breastmnist", "medspectralnet")
    page = rendered(store)
    assert "PHANTOM DATA Some runs used" in page.text
    headings = page.text.count("started from ImageNet weights phantom data")
    assert headings >= 1
    assert page.text.index("BreastMNIST · started") < page.text.index("phantom · started")
    assert page.text.count("86.5 (MedSpectralNet)") == 1


def test_figures_of_phantom_data_are_stamped(store):
    real = fabricate_run("breastmnist")
    plain = report._figures(real)
    real.record["data"]["phantom"] = True
    stamped = report._figures(real)
    assert len(plain) == len(stamped) == 4
    assert all(a["png"] != b["png"] for a, b in zip(plain, stamped, strict=True))


def test_starts_never_share_a_ranking(store):
    fabricate_run(pretrained="imagenet")
    fabricate_run(pretrained="none")
    page = rendered(store)
    assert "BreastMNIST · started from ImageNet weights" in page.text
    assert "BreastMNIST · trained from scratch" in page.text


def test_one_seed_has_no_deviation(store):
    fabricate_run()
    page = rendered(store)
    assert "n = 1" in page.text
    assert not re.search(r"\d ± \d", page.text)


def test_undefined_metrics_are_words_not_zeros(store):
    run = fabricate_run()
    ppv = run.record["metrics"]["test"]["ppv"]
    ppv |= {"value": None, "low": None, "high": None}
    page = Page(report.render([run], profile="paper"))
    assert "positive predictive value undefined undefined" in page.text


def test_names_from_data_are_escaped(store):
    run = fabricate_run()
    run.record["env"]["device"] = "<script>alert('x')</script>"
    html = report.render([run], profile="paper")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_every_bar_lies_within_its_axis(store):
    for seed in range(2):
        fabricate_run(seed=seed, wrong=5 + 40 * seed)
        fabricate_run(model="resnet18", seed=seed, wrong=60)
    ranking = report._rankings(report.group_runs(list_runs(store)), judged=True)[0]
    for row in ranking["rows"]:
        left, width, at = (float(row[part]) for part in ("left", "width", "at"))
        assert 0 <= left <= at <= left + width + 0.1
        assert left + width <= 100.1
        assert row["mark"] is None or 0 <= float(row["mark"]) <= 100


def test_many_classes(store):
    fabricate_run("organcmnist", classes=tuple(f"organ {k}" for k in range(11)))
    page = rendered(store)
    assert "OrganCMNIST · started" in page.text
    assert len(page.all("img")) == 4


@pytest.mark.parametrize(("profile", "target"), [("paper", "sweep"), ("quick", "reproduce")])
def test_without_runs_the_page_says_how_to_make_them(store, profile, target):
    page = Page(report.build_report(profile).read_text(encoding="utf-8"))
    assert f"No runs are stored yet. make {target} makes them." in page.text


def test_wide_content_scrolls_in_its_own_box(store):
    """Each table sits in a box of class scroll, which the keyboard can reach."""
    fabricate_run()
    page = rendered(store)
    boxes = [attrs for attrs in page.all("div") if attrs.get("class") == "scroll"]
    assert len(boxes) == len(page.all("table")) == 2
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)
    assert any(attrs.get("name") == "viewport" for attrs in page.all("meta"))


def test_two_reports_of_the_same_runs_are_equal(store):
    fabricate_run()
    first = report.build_report("paper").read_bytes()
    assert report.build_report("paper").read_bytes() == first


def test_command_line(store, capsys):
    report.main(["--profile", "quick"])
    assert "index.html" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        report.main(["--profile", "fast"])
    assert "invalid choice: 'fast'" in capsys.readouterr().err
