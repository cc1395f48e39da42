"""The report page: stamps, charts, counts, links, escaping; parsed as a browser would."""

import base64
import json
import re
from dataclasses import replace
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure

from helpers.runs.groups import group_runs
from helpers.runs.store import list_runs
from study import report
from study.plans.comparisons import load_plan
from study.plans.verdicts import load_rules
from study.report import details, notebooks, page, pictures, status
from study.report.__main__ import main
from study.report.forest import Cell, Line, chart
from study.report.markup import split_page, to_html
from study.report.rankings import rank
from study.tables.accuracy import MEDMNIST, build_rows
from study.tables.angiograms import comparison_files
from study.verdicts import (
    COMPATIBLE,
    EXCLUDED,
    INCONCLUSIVE,
    NO_VERDICT,
    NOT_REPRODUCED,
    NOT_RUN,
    OTHER_IMAGES,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    TOO_FEW_SEEDS,
)
from tests.fabricated import fabricate_from, fabricate_run
from tests.html_pages import Page, broken_links, browser, measure


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """Real figures take a second each; what they show is tested with them."""
    monkeypatch.setattr(details.figures, "draw", lambda name, run: Figure(figsize=(1, 1)))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def full_store(tmp_path_factory):
    """Runs that both papers' numbers stand beside, phantom ones, and one of many classes."""
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(folder))
        plan = load_plan()
        pairs = {(f.name, p.name): p for f in plan.families for p in f.pairs}
        plain, stop = pairs["table4", "over_resnet18"], pairs["stopping", "at_target"]
        for seed in range(5):
            fabricate_run(seed=seed, wrong=21 + seed)
            fabricate_run(model="resnet18", seed=seed, wrong=40 + seed, pretrained="none")
            fabricate_from(replace(plain.a, seed=seed), wrong=20 + seed)
            fabricate_from(replace(plain.b, seed=seed), wrong=50 + seed)
        fabricate_from(replace(stop.b, seed=0), wrong=30)
        fabricate_run("phantom", "medspectralnet")
        fabricate_run("organcmnist", classes=tuple(f"a long name of organ {k}" for k in range(11)))
        (folder / "tables").mkdir()
        (folder / "tables" / "localisation.md").write_text(LOCALISATION)
    return folder


LOCALISATION = """<!-- Generated; do not edit. -->

# Where the maps look

An introduction with a [link](cag_table4.md).

## Whole patches

| layer | pointing game | energy | IoU | best IoU | area | control | verdict |
| --- | --- | --- | --- | --- | --- | --- | --- |
| ContextGate | 0.512 (0.431 to 0.593) | 0.2 | 0.1 | 0.2 | 0.3 | brightness | holds in part |

## Other methods

| method | energy |
| --- | --- |
| Layer-CAM | 0.345 |
"""


@pytest.fixture(scope="module")
def full_html(full_store):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(details.figures, "draw", lambda name, run: Figure(figsize=(1, 1)))
        return report.render(list_runs(full_store), profile="paper", tables=full_store / "tables")


@pytest.fixture(scope="module")
def full_page(full_html):
    return Page(full_html)


def rendered(store, profile="paper"):
    root = store if profile == "paper" else store / profile
    return Page(report.render(list_runs(root), profile=profile))


def write_notebook(path, *cells, output=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [nbformat.v4.new_markdown_cell(c) for c in cells]
    if output is not None:
        shown = nbformat.v4.new_output("display_data", {"text/html": output})
        written.append(nbformat.v4.new_code_cell("show()", outputs=[shown]))
    nbformat.write(nbformat.v4.new_notebook(cells=written), path)


# --- the page ------------------------------------------------------------------------------------


def test_a_page_of_small_runs_says_whether_the_study_came_out_again(store):
    fabricate_run("bloodmnist", "resnet18", pretrained="none", profile="quick")
    checked = store / "quick" / "study.json"
    compared = {"equal": ["a.md", "b.md"], "different": ["c.csv"], "verdicts": [201, 202]}
    checked.write_text(json.dumps(compared))
    index = report.build_report("quick")
    source = index.read_text(encoding="utf-8")
    html = Page(source)
    assert "2 of 3 tables and pages equal, 201 of 202 verdicts; different: c.csv" in html.text
    assert "MedSpectralNet, accuracy, %" in html.text and "BreastMNIST" in html.text
    assert 'id="study"' in source and source.count('href="#study"') >= 1
    assert broken_links(index.parent) == []
    checked.unlink()
    assert "made anew" not in Page(report.build_report("quick").read_text()).text


def test_the_page_is_one_file_without_broken_links(store):
    fabricate_run("breastmnist", "resnet18", pretrained="none", profile="quick")
    executed = store / "quick" / "executed"
    write_notebook(executed / "01_data.ipynb", "intro", "# 01 · What the images are\nmore")
    write_notebook(executed / "04_train__common__breastmnist__a b&c_s0.ipynb", "# One run")
    index = report.build_report("quick")
    assert index == store / "quick" / "report" / "index.html"
    html = Page(index.read_text(encoding="utf-8"))
    assert len(html.all("a")) >= 9
    assert broken_links(index.parent) == []
    assert "01 · What the images are" in html.text
    assert "common / breastmnist / a b&c_s0" in html.text
    assert "1 training run, one notebook each" in html.text


def test_nothing_is_loaded_from_elsewhere(full_page):
    assert not full_page.all("link")
    assert not full_page.all("script")
    assert len(full_page.all("img")) >= 12
    for image in full_page.all("img"):
        assert base64.b64decode(image["src"].partition("base64,")[2]).startswith(b"\x89PNG")
        assert image["alt"]


def test_the_links_of_the_full_page_resolve(full_html, tmp_path):
    (tmp_path / "index.html").write_text(full_html, encoding="utf-8")
    assert broken_links(tmp_path) == []
    outside = {a["href"] for a in Page(full_html).all("a") if "://" in a["href"]}
    assert outside == {entry["url"] for entry in page.CITED.values()}


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="#x">1</a><a href="#y">2</a><a href="b.html">3</a><img src="c.png">'
        '<a href="a.html#x">4</a><a href="a.html#z">5</a><a href="http://doi.org/12">6</a></p>'
    )
    assert broken_links(tmp_path) == [
        *("a.html: #y", "a.html: b.html", "a.html: c.png", "a.html: a.html#z"),
        "a.html: http://doi.org/12",
    ]


def test_every_cell_is_named_so_that_rows_can_be_cards(full_html, full_page):
    """Without its column's name a cell of a card could not be read."""
    tables = [attrs["class"].split()[0] for attrs in full_page.all("table")]
    assert set(tables) == {"forest", "cards", "status"}
    bare = [
        attrs
        for attrs in full_page.all("td")
        if attrs.get("role") == "cell"
        and "data-label" not in attrs
        and attrs.get("class") not in ("track", "bar")
    ]
    assert bare == []
    assert any(attrs.get("name") == "viewport" for attrs in full_page.all("meta"))
    # No box scrolls sideways, and the style closes all its braces.
    style = re.search(r"<style>(.*?)</style>", full_html, re.DOTALL)[1]
    assert not re.search(r"overflow(-x)?:\s*(auto|scroll)", style)
    assert style.count("{") == style.count("}") > 100


def test_ids_are_unique_and_the_contents_name_all_sections(full_page):
    assert len(full_page.ids) == len(set(full_page.ids))
    sections = [attrs["aria-labelledby"] for attrs in full_page.all("section")]
    links = [attrs["href"][1:] for attrs in full_page.all("a") if attrs["href"].startswith("#")]
    assert "localisation" in sections
    # First the contents, in order; then the headings' own.
    assert links[: len(sections)] == sections


def test_quick_is_stamped_and_never_judged(store):
    for seed in range(5):
        fabricate_run(seed=seed, profile="quick")
    html = rendered(store, "quick")
    assert "Quick profile: small budget, not the paper's protocol." in html.text
    assert "PHANTOM" not in html.text
    for word in ("86.5", "verdict ", "reproduced;", "✓", "Status"):
        assert word not in html.text
    assert len(html.all("img")) == 4


def test_paper_runs_stand_beside_the_published_value_with_a_verdict(full_page):
    text = full_page.text
    assert "Quick profile" not in text
    mean = sum(1 - (21 + s) / 156 for s in range(5)) / 5
    assert re.search(
        rf"86\.5 {100 * mean:.1f} ± 1\.0 [\d.\xa0to, ]+n\xa0=\xa05 \S\xa0?not run at its budget",
        text,
    )
    assert "epochs 3, published 200" in text
    assert "0123456789abcdef" in text
    assert "Not run: PneumoniaMNIST, BloodMNIST, DermaMNIST, OrganSMNIST." in text


def test_phantom_data_is_stamped_and_ranked_apart(store):
    fabricate_run("phantom", "medspectralnet")
    html = rendered(store)
    assert "PHANTOM DATA All runs used synthetic angiograms" in html.text
    # Alone it makes no status: there is no result.
    assert "86.5" not in html.text
    assert "#status" not in [a["href"] for a in html.all("a")]
    fabricate_run("breastmnist", "medspectralnet")
    html = rendered(store)
    assert "PHANTOM DATA Some runs used" in html.text
    assert html.text.index("BreastMNIST · started") < html.text.index("phantom · started")
    assert "phantom · started from ImageNet weights (1) phantom data" in html.text


def test_phantom_data_never_enters_a_number_of_the_papers(store):
    fabricate_run("breastmnist", "medspectralnet")
    without = report.render(list_runs(store), profile="paper")
    fabricate_run("phantom", "medspectralnet", wrong=1)
    with_phantom = report.render(list_runs(store), profile="paper")
    first, last = 'aria-labelledby="status"', 'aria-labelledby="results"'
    assert without.partition(first)[2].partition(last)[0]
    assert (
        without.partition(first)[2].partition(last)[0]
        == with_phantom.partition(first)[2].partition(last)[0]
    )


def test_starts_never_share_a_ranking(full_page):
    assert "BreastMNIST · started from ImageNet weights" in full_page.text
    assert "BreastMNIST · trained from scratch" in full_page.text


def test_one_seed_has_no_deviation(store):
    fabricate_run(profile="quick")
    html = rendered(store, "quick")
    assert "n\xa0=\xa01" in html.text
    assert not re.search(r"\d ± \d", html.text)


def test_undefined_metrics_are_words_not_zeros(store):
    run = fabricate_run(profile="quick")
    ppv = run.record["metrics"]["test"]["ppv"]
    ppv |= {"value": None, "low": None, "high": None}
    html = Page(report.render([run], profile="quick"))
    assert "positive predictive value undefined undefined" in html.text


def test_names_from_data_are_escaped(store):
    run = fabricate_run("cag:patches", profile="quick")
    run.record["env"]["device"] = "<script>alert('x')</script>"
    run.config["model"] = "<script>alert('y')</script>"
    html = report.render([run], profile="quick")
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") >= 3


@pytest.mark.parametrize(("profile", "target"), [("paper", "sweep"), ("quick", "reproduce")])
def test_without_runs_the_page_says_how_to_make_them(store, profile, target):
    html = Page(report.build_report(profile).read_text(encoding="utf-8"))
    assert f"No runs are stored yet. make {target} makes them." in html.text


def test_two_reports_of_the_same_runs_are_equal(store):
    fabricate_run(profile="quick")
    write_notebook(
        store / "quick" / "executed" / "02_models.ipynb", "# A\n$x_h$", output="<b>1</b>"
    )
    index = report.build_report("quick")
    first = [path.read_bytes() for path in sorted(index.parent.iterdir())]
    index = report.build_report("quick")
    assert [path.read_bytes() for path in sorted(index.parent.iterdir())] == first


def test_command_line(store, capsys):
    main(["--profile", "quick"])
    assert "index.html" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--profile", "fast"])
    assert "invalid choice: 'fast'" in capsys.readouterr().err


# --- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        ([REPRODUCED], REPRODUCED),
        ([OURS_LOWER, OURS_HIGHER], NOT_REPRODUCED),
        ([COMPATIBLE, NO_VERDICT], COMPATIBLE),
        ([SHOWN], REPRODUCED),
        ([EXCLUDED], NOT_REPRODUCED),
        ([SHOWN_REVERSED], NOT_REPRODUCED),
        ([INCONCLUSIVE, NO_VERDICT], INCONCLUSIVE),
        ([SHORT, NO_VERDICT], SHORT),
        ([TOO_FEW_SEEDS, REPRODUCED, NOT_RUN], REPRODUCED),
        ([NOT_RUN, TOO_FEW_SEEDS], NOT_RUN),
        ([NOT_RUN, NOT_RUN], NOT_RUN),
    ],
)
def test_a_value_counts_once_however_many_protocols_speak_to_it(verdicts, outcome):
    assert status.settle(verdicts) == outcome


def test_an_unknown_verdict_is_no_outcome():
    with pytest.raises(KeyError):
        status.settle(["perhaps"])


def test_the_status_counts_what_the_tables_say(full_store):
    groups = [g for g in group_runs(list_runs(full_store)) if not g.is_phantom]
    rules, plan = load_rules(), load_plan()
    rows = build_rows(groups, datasets=[*MEDMNIST], rules=rules)
    own, others = status.paper_b(rows, rules)
    assert own.outcomes == {SHORT: 2, NOT_RUN: 4}
    assert others.outcomes == {NOT_RUN: 12}
    results = page.compare_all(groups, plan)
    gains, systems, course = status.paper_a(results)
    # Only ResNet18 and the framework ran; the gain over the quantum head did not.
    assert gains.total == 4 and gains.outcomes[NOT_RUN] == 2
    text = comparison_files(groups, plan)["cag_table4.md"].partition("## Trained")[0]
    lines = [line for line in text.splitlines() if "plain ResNet18 | accuracy, points" in line]
    assert len(lines) == 1
    assert any(
        lines[0].endswith(f"{verdict} |")
        for verdict, outcome in status._OUTCOME_OF.items()
        if verdict and gains.outcomes[outcome]
    )
    assert systems.outcomes == {OTHER_IMAGES: 8, NOT_RUN: 6}
    assert course.outcomes == {OTHER_IMAGES: 16, NOT_RUN: 1}
    tested = {line.name: line for line in status.tested(results)}
    assert tested["robustness"].planned == tested["robustness"].unjudged == 5
    assert tested["table4"].unjudged == 2
    for tally in (own, others, gains, systems, course):
        assert sum(count for _, count, *_ in tally.bars) == tally.total
        assert float(tally.bars[-1][2]) + float(tally.bars[-1][3]) == pytest.approx(100)


def test_the_answer_is_made_from_the_results(full_page, store):
    text = full_page.text
    assert (
        "MedSpectralNet's printed accuracy is not run at its budget on BreastMNIST and "
        "OrganCMNIST; PneumoniaMNIST, BloodMNIST, DermaMNIST and OrganSMNIST are not run. Ours "
        "departs from what the paper states (epochs 3, published 200), so"
    ) in text
    assert "Of the 4 gains that the brain-inspired framework's paper prints, " in text
    assert "and 2 are not run; its images are not public" in text
    for seed in range(5):
        fabricate_run(seed=seed, wrong=80 + seed, epochs=20)
    answer = rendered(store).text
    assert "printed accuracy is not reproduced on BreastMNIST;" in answer
    assert "framework has not been run against its controls yet" in answer


def test_without_runs_beside_a_printed_accuracy_the_answer_says_so():
    rules = load_rules()
    rows = build_rows([], datasets=[*MEDMNIST], rules=rules)
    assert "No run of MedSpectralNet" in status.answer_b(rows, rules)


# --- charts --------------------------------------------------------------------------------------


def test_everything_drawn_lies_within_its_scale(full_html):
    """All places are percentages of the scale's length."""
    for tag, attributes in (("line", ("x1", "x2")), ("circle", ("cx",)), ("rect", ("x", "width"))):
        drawn = [attrs for attrs in Page(full_html).all(tag) if "%" in attrs.get(attributes[0], "")]
        assert len(drawn) > 5
        for attrs in drawn:
            assert all(0 <= float(attrs[name].rstrip("%")) <= 100 for name in attributes)


def test_a_chart_draws_what_it_says():
    lines = [
        Line("a", [Cell("x")], value=0.02, low=-0.013, high=0.057, printed=0.09),
        Line("b", [Cell("y")]),
    ]
    drawn = chart("t", "AUC", ["h"], lines, zero=True)
    assert drawn.ticks[0] <= -0.013 and drawn.ticks[-1] >= 0.09
    assert "0" in drawn.texts and any(text.startswith("+") for text in drawn.texts)
    start, end = float(drawn.place(drawn.ticks[0])), float(drawn.place(drawn.ticks[-1]))
    assert (start, end) == (0, 100)
    middle = (drawn.ticks[0] + drawn.ticks[-1]) / 2
    assert float(drawn.place(middle)) == pytest.approx(50)
    said = "ours +0.020, interval -0.013 to +0.057, published +0.090"
    assert [drawn.described(line) for line in drawn.lines] == [said, NOT_RUN]
    assert drawn.has_printed
    nothing = chart("t", "AUC", ["h"], [lines[1]])
    assert not nothing.has_printed and len(nothing.ticks) >= 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [([], "has no lines"), ([Line("a", [Cell("x"), Cell("y")])], "'a' does not fit")],
)
def test_a_chart_that_makes_no_sense_is_refused(lines, message):
    with pytest.raises(ValueError, match=message):
        chart("t", "AUC", ["h"], lines)


def test_verdicts_are_told_by_more_than_colour():
    signs = {Cell(v, verdict=True).sign for v in (REPRODUCED, OURS_LOWER, INCONCLUSIVE, NOT_RUN)}
    assert len(signs) == 4


def test_a_ranking_shows_published_values_only_where_it_judges(full_store):
    groups = group_runs(list_runs(full_store))
    for judged in (True, False):
        for ranking in rank(groups, rules=load_rules(), judged=judged):
            shown = ranking.chart.has_printed
            assert shown == (
                judged
                and not ranking.phantom
                and ranking.dataset in ("BreastMNIST", "OrganCMNIST")
                and ranking.start.startswith("started")
            )
            assert ("verdict" in ranking.chart.heads) == shown


# --- tables from markdown ------------------------------------------------------------------------


def test_further_tables_are_shown_where_they_exist(full_page, full_store, store):
    assert "Where the maps look" in full_page.text
    assert "An introduction with a link." in full_page.text
    assert "Whole patches layer pointing game" in full_page.text
    assert "0.512 0.431 to 0.593" in full_page.text
    assert "Other methods method energy Layer-CAM 0.345" in full_page.text
    assert "localisation" not in rendered(store).ids
    # Quick runs make no result, whatever lies beside them.
    fabricate_run(profile="quick")
    html = report.render(list_runs(store / "quick"), profile="quick", tables=full_store / "tables")
    assert "Where the maps look" not in html


def test_a_recipe_with_a_section_of_its_own_is_not_listed_again(store):
    fabricate_run()
    fabricate_run(recipe="ranking", pretrained="none")
    tables = store / "tables"
    tables.mkdir()
    runs = list_runs(store)
    page = Page(report.render(runs, profile="paper", tables=tables))
    assert "All protocols" in page.text and "ranking, 32 px" in page.text.split("Runs in detail")[1]
    before = page.text.count("ranking, 32 px")
    (tables / "localisation.md").write_text("# Maps\n\n## One\n\n- first.\n")
    page = Page(report.render(runs, profile="paper", tables=tables))
    assert "All protocols" in page.text and page.text.count("ranking, 32 px") == before
    (tables / "medmnist_ranking.md").write_text("# Table 3, measured\n\n## In short\n\n- first.\n")
    page = Page(report.render(runs, profile="paper", tables=tables))
    assert "Table 3, measured" in page.text and "systems" in page.ids and "blocks" not in page.ids
    assert "Other protocols" in page.text
    assert page.text.count("ranking, 32 px") == before - 1  # the runs in detail still hold it


def test_of_the_first_section_only_the_first_table_stands_open(store):
    fabricate_run()
    tables = store / "tables"
    tables.mkdir()
    text = (
        "# Costs\n\n## CPU\n\nTimes.\n\n### Targets\n\nmet\n\n### All\n\nlong\n\n## GPU\n\nnone\n"
    )
    (tables / "efficiency.md").write_text(text)
    html = report.render(list_runs(store), profile="paper", tables=tables)
    section = html[html.index('aria-labelledby="cost"') :]
    opened, *folds = section[: section.index("</section>")].split("<details><summary>")
    assert re.search(r"CPU.*Times\..*Targets.*met", opened, re.DOTALL) and "long" not in opened
    assert [fold.partition("<")[0] for fold in folds] == ["All", "GPU"] and "long" in folds[0]


def test_markdown_tables_name_their_cells():
    text = "<!-- no -->\n## H\n\n| a `x` | b, % | c |\n|---|---|---|\n| 1 | 2 \\| 3 |  |\n"
    html = to_html(text, depth=2)
    parsed = Page(html)
    assert "<h4>H</h4>" in html
    assert [cell.get("data-label") for cell in parsed.all("td")] == ["b, %", "c"]
    assert parsed.all("td")[1]["class"] == "empty"
    assert "2 | 3" in parsed.text and "no" not in parsed.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.2 (0.1 to 0.3)", '0.2 <span class="under">0.1 to 0.3</span>'),
        ("+0.2 (0.1 to 0.3), p 0.04", '+0.2, p 0.04 <span class="under">0.1 to 0.3</span>'),
        ("11.4 (11.4)", "11.4 (11.4)"),
        ("ResNet-18 (28)", "ResNet-18 (28)"),
    ],
)
def test_an_interval_has_a_line_of_its_own(text, shown):
    assert f'data-label="b">{shown}</td>' in to_html(f"| a | b |\n|---|---|\n| x | {text} |\n")


def test_two_markdown_tables_do_not_share_their_heads():
    table = "| {} | b |\n|---|---|\n| 1 | 2 |\n"
    parsed = Page(to_html(table.format("a") + "\ntext\n\n" + table.format("c").replace("b", "d")))
    assert [cell["data-label"] for cell in parsed.all("td")] == ["b", "d"]


@pytest.mark.parametrize(
    ("columns", "kind"), [(3, "cards"), (7, "cards wide"), (12, "cards always")]
)
def test_many_columns_become_cards_sooner(columns, kind):
    lines = ["| " + " | ".join(["x"] * columns) + " |", "|" + "---|" * columns]
    lines.append(lines[0])
    assert Page(to_html("\n".join(lines))).all("table")[0]["class"] == kind


def test_markdown_links_lead_outside_or_nowhere():
    html = to_html("[a](https://x.org/y) [b](../z.md) ![c](d.png) [e](javascript:f) <i>g</i>")
    assert [a["href"] for a in Page(html).all("a")] == ["https://x.org/y"]
    assert Page(html).text == "a b c e <i>g</i>"
    assert not Page(html).all("img")


def test_a_page_of_tables_has_a_title():
    assert split_page("<!-- x -->\n\n# T\n\nrest\n") == ("T", "rest")
    with pytest.raises(ValueError, match="begins with '# title'"):
        split_page("no title")


# --- pictures ------------------------------------------------------------------------------------


def test_only_protocols_beside_a_published_number_have_pictures(full_store):
    groups = [g for g in group_runs(list_runs(full_store)) if not g.is_phantom]
    rules, plan = load_rules(), load_plan()
    rows = build_rows(groups, datasets=[*MEDMNIST], rules=rules)
    chosen = details.featured(groups, rows, plan=plan, rules=rules)
    found = {(g.config["model"], g.config["recipe"], g.dataset) for g in chosen}
    angiograms = plan.dataset
    assert found == {
        ("medspectralnet", "common", "breastmnist"),
        ("medspectralnet", "common", "organcmnist"),
        ("brain_inspired_resnet18", "brain_inspired", angiograms),
        ("resnet18", "cross_entropy", angiograms),
    }
    described = details.describe(groups, pictured=chosen)
    assert sum(bool(detail.pictures) for detail in described) == len(chosen) < len(described)


def test_pictures_are_small_said_in_words_and_stamped(store, monkeypatch):
    monkeypatch.undo()  # the real figures
    monkeypatch.setenv("REPRO_RESULTS", str(store))
    run = fabricate_run("organcmnist", classes=("liver", "kidney", "spleen"))
    plain = details.run_pictures(run)
    run.record["data"]["phantom"] = True
    stamped = details.run_pictures(run)
    assert len(plain) == len(stamped) == 4
    for a, b in zip(plain, stamped, strict=True):
        assert a.png != b.png
        assert b.alt == f"{a.alt}, phantom data"
        assert len(a.png) < 60_000
    assert plain[1].alt == "Confusion matrix: 80 of 100 test images right"


def test_a_picture_is_the_figure_and_the_figure_is_closed():
    figure = Figure(figsize=(2, 1))
    figure.subplots().imshow(np.eye(2))
    drawn = pictures.picture("an identity", figure)
    assert (drawn.width, drawn.height) == (2 * pictures.DPI, pictures.DPI)


# --- notebooks -----------------------------------------------------------------------------------


def test_pages_of_removed_notebooks_go_away(store):
    notebook = store / "quick" / "executed" / "05_evaluate.ipynb"
    write_notebook(notebook, "# Evaluation")
    folder = report.build_report("quick").parent
    assert (folder / "05_evaluate.html").exists()
    notebook.unlink()
    report.build_report("quick")
    assert sorted(path.name for path in folder.iterdir()) == ["index.html"]


def test_committed_notebooks_fill_the_gaps(tmp_path):
    executed, committed = tmp_path / "executed", tmp_path / "notebooks"
    write_notebook(executed / "01_data.ipynb", "# Executed here")
    write_notebook(committed / "01_data.ipynb", "# Committed", output="1")
    write_notebook(committed / "02_models.ipynb", "# Models", output="1")
    write_notebook(committed / "04_train.ipynb", "# Never executed")
    pages = notebooks.write_notebooks(executed, tmp_path / "report", committed=committed)
    assert [p.title for p in pages] == ["Executed here", "Models"]
    assert [p.title for p in notebooks.write_notebooks(executed, tmp_path / "report")] == [
        "Executed here"
    ]


def test_notebook_links_lead_to_pages_or_are_text(tmp_path):
    executed = tmp_path / "executed"
    cell = (
        "# One\n[next](02_b.ipynb) [part](02_b.ipynb#Deep-inside) [gone](09_z.ipynb) "
        "[rules](../params/verdicts.yaml) [out](https://example.org/a?b=1&c=2) [here](#One) "
        "`[code](../x.md)`"
    )
    write_notebook(executed / "01_a.ipynb", cell)
    write_notebook(executed / "02_b.ipynb", "# Two\n## Deep inside")
    notebooks.write_notebooks(executed, tmp_path)
    html = Page((tmp_path / "01_a.html").read_text(encoding="utf-8"))
    links = [unquote(a["href"]) for a in html.all("a") if a.get("class") != "anchor-link"]
    assert links == [
        *("index.html", "02_b.html", "02_b.html#Deep-inside"),
        *("https://example.org/a?b=1&c=2", "#One"),
    ]
    assert {"09_z.ipynb", "../params/verdicts.yaml"} <= {
        attrs.get("title") for attrs in html.all("span")
    }
    assert "gone rules" in html.text and "[code](../x.md)" in html.text
    (tmp_path / "index.html").write_text("<p></p>")
    links = [link for link in broken_links(tmp_path) if "example.org" not in link]
    assert links == []


def test_notebook_pages_load_nothing(tmp_path):
    write_notebook(
        tmp_path / "a.ipynb", "# T\n$x_h = x - x_l$ costs `$5`, or 3$ and 4$", output="1"
    )
    notebooks.write_notebooks(tmp_path, tmp_path)
    html = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert not html.all("script") and not html.all("link")
    (image,) = html.all("img")
    assert image["alt"] == "x_h = x - x_l"
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert "costs $5 , or 3$ and 4$" in html.text


def test_a_formula_that_cannot_be_set_stays_as_it_is_written():
    assert notebooks.formula(r"\begin{matrix}<") == r"<code>\begin{matrix}&lt;</code>"
    assert notebooks.formula(r"\alpha") == notebooks.formula(r"\alpha")


# --- in a browser --------------------------------------------------------------------------------


@pytest.mark.skipif(browser() is None, reason="no Chromium on this machine measures the pages")
def test_no_page_scrolls_sideways(full_html, tmp_path):
    """At desktop and at phone width; wide tables of a notebook scroll in their own box."""
    wide = "".join(f"<td>column {k} of many</td>" for k in range(40))
    write_notebook(
        tmp_path / "executed" / "a.ipynb",
        "# T\n" + "word" * 200 + "\n\n`" + "x" * 300 + "`\n\n$" + "x_h + " * 60 + "1$",
        output=f"<table><tr>{wide}</tr></table>",
    )
    notebooks.write_notebooks(tmp_path / "executed", tmp_path)
    pages = {
        "report": full_html,
        "notebook": (tmp_path / "a.html").read_text(encoding="utf-8"),
        "too wide": "<!doctype html><div style='width:3000px'>wide</div>",
    }
    measured = measure(pages, (1280, 390), tmp_path)
    assert len(measured) == 6
    for (name, width), (window, content, boxes) in measured.items():
        assert window == width
        if name == "too wide":
            assert content >= 3000
            continue
        assert content <= window, f"{name} at {width} px is {content} px wide"
        assert (boxes > 0) == (name == "notebook")
