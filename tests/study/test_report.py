"""The report page: stamps, charts, links, escaping; parsed as a browser would."""

import base64
import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure

from helpers.paths import repo_root
from helpers.runs.store import load_run
from study.report import notebooks, runs
from study.report.charts import read, sections
from study.report.forest import Track, forest
from study.report.page import build_report, main, render
from study.table import Table, column
from tests.fabricated import fabricate_run
from tests.html_pages import Page, broken_links, browser, measure

TABLES = repo_root() / "results" / "tables"
DRAW = runs.figures.draw


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """Real figures take a second each; what they show is tested with them."""
    monkeypatch.setattr(runs.figures, "draw", lambda name, run: Figure(figsize=(1, 1)))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The page of the committed tables, beside which a phantom run was stored."""
    folder = tmp_path_factory.mktemp("paper")
    shutil.copytree(TABLES, folder / "tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(folder))
        without = render("paper")
        fabricate_run("phantom", "medspectralnet", wrong=1)
        return without, render("paper")


@pytest.fixture(scope="module")
def page(paper):
    return Page(paper[0])


def write_notebook(path, *cells, output=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [nbformat.v4.new_markdown_cell(c) for c in cells]
    if output is not None:
        shown = nbformat.v4.new_output("display_data", {"text/html": output})
        written.append(nbformat.v4.new_code_cell("show()", outputs=[shown]))
    nbformat.write(nbformat.v4.new_notebook(cells=written), path)


# --- the page of the paper profile ---------------------------------------------------------------


def test_what_a_paper_prints_stands_beside_ours_and_its_verdict(paper, page):
    frame = read(TABLES, "medmnist_accuracy")
    judged = frame[(frame["published_mark"] == "T") & frame["verdict"].notna()]
    row = judged[judged["dataset"] == "breastmnist"].to_dict("records")[0]
    printed, ours, low, high = (
        f"{100 * row[name]:.1f}"
        for name in ("published_accuracy", "accuracy_mean", "one_more_low", "one_more_high")
    )
    said = rf"BreastMNIST {printed} {ours} ({low} to {high})"
    mean = f"{100 * row['here_low']:.1f} to {100 * row['here_high']:.1f}"
    free = f"{100 * row['free_mean']:.1f} ± {100 * row['free_sd']:.1f} (110 images)"
    assert f"{said} {mean} {free} {row['verdict']} {row['protocol']}" in page.text
    assert "Paper B: accuracy of MedSpectralNet" in paper[0].partition("<nav")[0]


@pytest.mark.parametrize(
    ("file", "head", "name", "mean", "ends"),
    [
        ("medmnist_accuracy", "model", None, 3, 5),
        ("medmnist_ranking", "rank", 2, 3, 4),
        ("table2", "optimizer, augmentation", 0, 3, 4),
        ("table2", "what A has and B lacks", 0, 7, None),
        ("cag_table4", "system", 0, 7, 8),
        ("cag_ablation", "what A has and B lacks", 0, 7, None),
        ("cag_robustness", "what A has and B lacks", 0, 7, None),
        ("localisation", "map", None, 2, None),
    ],
)
def test_a_number_is_that_of_its_table_to_the_last_digit(paper, file, head, name, mean, ends):
    charts = paper[0].partition('<h2 id="tables-in-full">')[0]
    shown = [re.sub(r"<.+?>|\s+", " ", row) for row in re.findall("<tr.*?</tr>", charts)]
    shown = [re.sub(" +", " ", row) for row in shown]
    checked, heads = 0, []
    text = (TABLES / f"{file}.md").read_text(encoding="utf-8")
    for line in text.partition("Whole images\n")[0].splitlines():  # of maps the crops are shown
        cells = [cell.strip().replace("`", "") for cell in line.split("|")[1:-1]]
        heads = [] if not cells else heads or cells
        if not heads or cells == heads or heads[0] != head or set(cells) == {"---"}:
            continue
        judged = file != "medmnist_accuracy" or cells[-1] not in ("", "not run")
        if judged and re.match(r"[+-]?\d", cells[mean]):
            value = cells[mean]
            if ends is not None and cells[ends]:  # too few seeds have no interval
                value = f"{cells[mean].split()[0]} ({cells[ends]})"
            rows = [row for row in shown if name is None or cells[name] in row]
            assert any(value in row for row in rows), (cells, rows)
            checked += 1
    assert checked


def test_every_frame_and_every_page_of_tables_is_shown(page):
    text = page.text
    for name, shown in (
        *(("medmnist_ranking", "title"), ("table2", "cell"), ("table2_comparisons", "title")),
        *(("cag_ablation", "title"), ("cag_robustness", "title"), ("cag_table4", "system")),
    ):
        frame = read(TABLES, name)
        ran = frame[frame["n_seeds"] > 0]
        assert len(ran) and all(each in text for each in ran[shown]), name
    for file in TABLES.glob("*.md"):
        assert file.read_text().partition("# ")[2].partition("\n")[0].replace("`", "") in text


def test_what_was_not_written_leaves_no_heading(tmp_path):
    assert sections(tmp_path) == []
    shutil.copy(TABLES / "localisation.csv", tmp_path)
    ((title, _, (chart,)),) = sections(tmp_path)
    assert title == "Where the maps look"
    assert "centred Gaussian" in chart.html and "labels shuffled: <code>spectralflow2" in chart.html


def test_nothing_is_loaded_and_only_the_papers_are_linked(paper, page, tmp_path):
    assert not page.all("link") and not page.all("script") and not page.all("img")
    (tmp_path / "index.html").write_text(paper[0], encoding="utf-8")
    assert broken_links(tmp_path) == []
    outside = {a["href"] for a in page.all("a") if "://" in a["href"]}
    assert outside == {
        "https://arxiv.org/abs/2601.15865",
        "https://doi.org/10.1371/journal.pone.0346128",
    }
    assert len(page.ids) == len(set(page.ids)) > 5


def test_every_cell_is_named_so_that_rows_can_be_cards(paper, page):
    """Without its column's name a cell of a card could not be read."""
    cells = [a for a in page.all("td") if a.get("role") == "cell" and a.get("class") != "track"]
    assert len(cells) > 500 and all(attrs.get("data-label") for attrs in cells)
    style = re.search(r"<style>(.*?)</style>", paper[0], re.DOTALL)[1]
    assert not re.search(r"overflow(-x)?:\s*(auto|scroll)", style)
    assert style.count("{") == style.count("}") > 50


def test_all_marks_lie_within_their_scale(page):
    for tag, names in (("line", ("x1", "x2")), ("circle", ("cx",)), ("text", ("x",))):
        drawn = page.all(tag)
        assert len(drawn) > 50
        assert all(0 <= float(a[name].rstrip("%")) <= 100 for a in drawn for name in names)


def test_phantom_data_is_stamped_and_in_no_table_of_results(paper):
    without, with_phantom = paper
    assert "PHANTOM" not in without and "PHANTOM DATA All runs used" in Page(with_phantom).text
    result, runs_ = (html.partition('<h2 id="runs">') for html in paper)
    assert result[0].partition("<nav")[2] == runs_[0].partition("<nav")[2]
    stamp, chart = runs_[2].index("PHANTOM DATA"), runs_[2].index("phantom, started from")
    assert stamp < chart


# --- other profiles ------------------------------------------------------------------------------


def test_quick_is_stamped_and_never_judged(store):
    for seed in range(5):
        fabricate_run(seed=seed, profile="quick")
    html = Page(render("quick"))
    assert "Quick profile: small budget, not the papers' protocol." in html.text
    assert "PHANTOM" not in html.text and "n = 5" in html.text
    for word in ("86.5", "verdict ", "reproduced;", "compatible"):
        assert word not in html.text
    assert len(html.all("img")) == len(runs.PICTURES)
    # Wherever a run strayed to, it is not shown under another profile.
    shutil.move(store / "quick" / "runs", store / "runs")
    assert "No runs are stored yet. make sweep" in Page(render("paper")).text


def test_the_study_stands_beside_quick_runs_and_is_never_mixed(store):
    fabricate_run("bloodmnist", "resnet18", pretrained="none", profile="quick")
    shutil.copytree(TABLES, store / "quick" / "tables")  # whatever lies there is no result
    alone = render("quick")
    assert "MedSpectralNet, " not in alone and "made anew" not in alone
    checked = {"equal": ["a.md", "b.md"], "different": ["c.csv"], "verdicts": [201, 202]}
    (store / "quick" / "study.json").write_text(json.dumps(checked))
    html = render("quick")
    said = "2 of 3 tables and pages equal, 201 of 202 verdicts; different: c.csv"
    before, study, after = html.partition('<h2 id="study">')
    assert said in Page(html).text and study
    assert "printed, %" in after and "printed, %" not in before
    assert "<code>resnet18</code>" in before and "<code>resnet18</code>" not in after
    readme = (repo_root() / "README.md").read_text()
    for kind in (r"^- \*\*(.+?)\*\*", r"^\d\. \*\*(.+?)\*\*"):  # the answer, and the limits
        points = re.findall(kind, readme, re.MULTILINE)
        assert len(points) > 3 and all(point in after for point in points)


def test_phantom_and_real_images_share_no_chart(store):
    fabricate_run("phantom", "medspectralnet", profile="quick")
    fabricate_run("breastmnist", "medspectralnet", profile="quick")
    html = Page(render("quick"))
    assert "PHANTOM DATA Some runs used synthetic angiograms" in html.text
    real, stamp, synthetic = html.text.partition("PHANTOM DATA Below:")
    assert "BreastMNIST, started" in real and "phantom, started" not in real
    assert stamp and "phantom, started from ImageNet weights" in synthetic
    assert "medspectralnet on phantom, phantom data," in synthetic


def test_one_seed_has_no_deviation_and_what_is_undefined_is_a_word(store):
    run = fabricate_run(profile="quick")
    f1 = run.record["metrics"]["test"]["f1"]
    f1 |= {"value": None, "low": None, "high": None}
    (run.path / "run.json").write_text(json.dumps(run.record))
    text = Page(render("quick")).text
    assert "n = 1" in text and "undefined" in text
    assert not re.search(r"\d ± \d", text)


def test_names_from_data_are_escaped(store, monkeypatch):
    run = fabricate_run("cag:patches", profile="quick")
    run.record["env"]["device"] = "<script>alert('x')</script>"
    run.config["model"] = "<script>alert('y')</script>"
    monkeypatch.setattr("study.report.page.list_runs", lambda root: [run])
    monkeypatch.setattr(
        "study.report.page.list_unreadable", lambda root: {"<script>": "<script>alert('z')"}
    )
    html = render("quick")
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") >= 4


def test_runs_that_contradict_each_other_are_named(store):
    fabricate_run(profile="quick", wrong=20)
    run = fabricate_run(profile="quick", seed=1)
    shutil.copytree(run.path, run.path.parent / "copied_s1")
    text = Page(render("quick")).text
    assert "Left out: " in text and "seed 1 stands twice in one protocol" in text
    assert load_run(run.path).config["seed"] == 1


@pytest.mark.parametrize(
    ("profile", "target"), [("paper", "sweep"), ("quick", "reproduce"), ("phantom", "reproduce")]
)
def test_without_runs_the_page_says_how_to_make_them(store, profile, target):
    html = Page(build_report(profile).read_text(encoding="utf-8"))
    assert f"No runs are stored yet. make {target} makes them." in html.text


def test_two_reports_of_the_same_runs_are_equal(store, monkeypatch):
    monkeypatch.setattr(runs.figures, "draw", DRAW)
    fabricate_run(profile="quick")
    path = store / "quick" / "executed" / "02_models.ipynb"
    write_notebook(path, "# A\n$x_h$", output="<b>1</b>")
    index = build_report("quick")
    first = {page.name: page.read_bytes() for page in index.parent.iterdir()}
    assert set(first) == {"index.html", "02_models.html"}
    build_report("quick")
    assert {page.name: page.read_bytes() for page in index.parent.iterdir()} == first


def test_command_line(store, capsys):
    main(["--profile", "quick"])
    assert str(Path("quick", "report", "index.html")) in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--profile", "fast"])
    assert "invalid choice: 'fast'" in capsys.readouterr().err


def test_pictures_are_said_in_words_and_stamped(store, monkeypatch):
    monkeypatch.setattr(runs.figures, "draw", DRAW)
    run = fabricate_run("organcmnist", classes=("liver", "kidney", "spleen"))
    plain = list(runs.pictures(run))
    run.record["data"]["phantom"] = True
    for (a, drawn), (b, stamped) in zip(plain, runs.pictures(run), strict=True):
        assert b == f"{a}, phantom data"
        assert drawn != stamped
        for source in (drawn, stamped):
            png = base64.b64decode(source.partition("base64,")[2])
            assert png.startswith(b"\x89PNG") and len(png) < 100_000


# --- forest charts -------------------------------------------------------------------------------


def test_a_chart_draws_what_is_there():
    rows = [
        {"name": "a", "value": 0.02, "low": -0.02, "high": 0.06, "printed": 0.08},
        {"name": "<b>", "value": 0.04, "low": None, "high": float("nan")},
        {"name": "c"},
    ]
    track = Track("AUC", "value", "low", "high", "printed", zero=True)
    html = forest(Table.of(rows, [column("name"), column("value")]), track)
    scale = [float(tick) for tick in re.findall("<text[^>]*>([^<]+)<", html)]
    first, last = min(scale), max(scale)
    assert first <= -0.02 and last >= 0.08 and len(scale) >= 3
    at = {x: f"{100 * (x - first) / (last - first):.2f}%" for x in (-0.02, 0.02, 0.06, 0.08, 0)}
    a, b, c = re.findall(r'<tr role="row"><th role="rowheader".*?</tr>', html)
    assert f'class="interval" x1="{at[-0.02]}" x2="{at[0.06]}"' in a
    assert f'cx="{at[0.02]}"' in a and f'<svg x="{at[0.08]}"' in a
    assert a.count(f'class="zero" x1="{at[0]}"') == 1
    assert "&lt;b&gt;" in b and "<circle" in b and "interval" not in b and "<path" not in b
    assert not re.search("<circle|interval|<path", c)


def test_a_chart_of_nothing_has_a_scale():
    table = Table(pd.DataFrame({"name": ["a"]}), [column("name")])
    html = forest(table, Track("AUC", "value", "low", "high"))
    assert html.count("<text") >= 4 and "nan" not in html


# --- notebooks -----------------------------------------------------------------------------------


def test_pages_of_removed_notebooks_go_away(store):
    notebook = store / "quick" / "executed" / "04_train__quick__a b&c_s0.ipynb"
    write_notebook(notebook, "# One run")
    index = build_report("quick")
    assert notebook.with_suffix(".html").name in {page.name for page in index.parent.iterdir()}
    assert broken_links(index.parent) == []
    assert "04_train / quick / a b&c_s0" in Page(index.read_text()).text
    notebook.unlink()
    build_report("quick")
    assert [page.name for page in index.parent.iterdir()] == ["index.html"]


def test_a_notebook_loads_nothing_and_leads_nowhere_that_is_not(tmp_path):
    cell = (
        "# One\n[next](02_b.ipynb#Deep) [rules](../params/verdicts.yaml) "
        "[out](https://doi.org/10.1371/b) `[code](../x.md)`\n"
        "$x_h = x - x_l$ costs `$5`\n\n$$a < b$$"
    )
    write_notebook(tmp_path / "01_a.ipynb", cell, output="<b>1</b>")
    assert notebooks.write_pages(tmp_path, tmp_path / "report") == ["01_a"]
    page = Page((tmp_path / "report" / "01_a.html").read_text(encoding="utf-8"))
    assert not page.all("script") and not page.all("link")
    assert [a["href"] for a in page.all("a")] == ["index.html", "https://doi.org/10.1371/b"]
    assert [a["display"] for a in page.all("math")] == ["inline", "block"]
    assert "next rules out [code](../x.md)" in page.text and "costs $5" in page.text


def test_a_formula_that_cannot_be_set_stays_as_it_is_written():
    assert notebooks.formula("a < b^") == "<code>a &lt; b^</code>"


# --- in a browser --------------------------------------------------------------------------------


@pytest.mark.skipif(browser() is None, reason="no Chromium on this machine measures the pages")
def test_no_page_scrolls_sideways(paper, tmp_path):
    """From phone to desktop; what is too wide in a notebook scrolls in its own box."""
    wide = "".join(f"<td>column {k} of many</td>" for k in range(40))
    write_notebook(
        tmp_path / "a.ipynb",
        "# T\n" + "word" * 200 + "\n\n`" + "x" * 300 + "`\n\n$$" + "x_h + " * 60 + "1$$",
        output=f"<table><tr>{wide}</tr></table>",
    )
    notebooks.write_pages(tmp_path, tmp_path / "report")
    pages = {
        "report": paper[1],
        "notebook": (tmp_path / "report" / "a.html").read_text(encoding="utf-8"),
        "too wide": "<!doctype html><div style='width:3000px'>wide</div>",
    }
    measured = measure(pages, (1280, 1130, 840, 390, 320), tmp_path)
    assert len(measured) == 15
    for (name, width), (window, content, boxes) in measured.items():
        assert window == width
        if name == "too wide":
            assert content >= 3000
            continue
        assert content <= window, f"{name} at {width} px is {content} px wide"
        assert (boxes > 0) == (name == "notebook")
