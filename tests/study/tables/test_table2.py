"""Paper B's Table 2 and the ablation: the plan, verdicts each way, tables, the picture."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from helpers.models.medspectralnet_variants import ABLATION, VARIANTS
from helpers.models.registry import list_models
from helpers.paths import repo_root
from helpers.plots import style
from helpers.runs.groups import group_runs, is_real
from helpers.runs.matrix import load_matrix
from helpers.runs.store import list_runs
from study.compare import Compared, best_optimizers, compare_family, judge_cells
from study.plans.comparisons import planned_configs
from study.plans.form import PlanError
from study.plans.table2 import load_table2
from study.plans.verdicts import load_rules
from study.plots import forest
from study.published import parse_printed
from study.tables.table2 import NO_NUMBER, table2_pages
from study.verdicts import (
    COMPATIBLE,
    INCONCLUSIVE,
    NO_BEST,
    NO_VERDICT,
    NOT_RUN,
    OURS_HIGHER,
    OURS_LOWER,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    TOO_FEW_SEEDS,
    UNTESTABLE,
)
from tests.fabricated import fabricate_seeds

# The runs of Table 2 are shorter than a tenth of the paper's; these rules know no budget.
TABLE, RULES = load_table2(), load_rules()
RULES = RULES.model_copy(update={"budget": RULES.budget.model_copy(update={"epochs": {}})})
SHIPPED = (repo_root() / "params" / "table2.yaml").read_text()
CELLS = {cell.title: cell.config for cell in TABLE.cells}


def pairs(family):
    return {pair.name: pair for pair in TABLE.plan.family(family).pairs}


def departures(pair):
    a, b = pair.a.to_dict(), pair.b.to_dict()
    return {key for key in a if a[key] != b[key]}


def stored():
    return group_runs(filter(is_real, list_runs()))


def line(text, start):
    (found,) = [row for row in text.splitlines() if row.startswith(start)]
    return [cell.strip() for cell in found.strip("|").split("|")]


# Both readings at once: built, and compared with nothing.
UNPLANNED = "medspectralnet_both_readings"


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """Adam wins and CutMix helps it; RMSprop has two seeds of a cell; ContextGate does nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(tmp_path_factory.mktemp("store")))
        fabricate_seeds(CELLS["SGD, normal"], wrong=60)
        fabricate_seeds(CELLS["SGD, normal + CutMix"], wrong=59)
        fabricate_seeds(CELLS["RMSprop, normal"], wrong=58, seeds=[0, 1])
        fabricate_seeds(CELLS["RMSprop, normal + CutMix"], wrong=57)
        fabricate_seeds(CELLS["Adam, normal + CutMix"], wrong=10)
        fabricate_seeds(CELLS["Adam, normal"], wrong=55)
        fabricate_seeds(pairs("blocks")["contextgate"].b, wrong=11)
        fabricate_seeds(pairs("blocks")["plain"].b, wrong=40)
        yield stored()


@pytest.fixture(scope="module")
def files(groups):
    return table2_pages(groups, TABLE, RULES).files


# --- the shipped plan ----------------------------------------------------------------------------


def test_the_plan_names_models_of_the_registry():
    assert load_table2(models=list_models()) == TABLE
    planned = planned_configs([0], plan=TABLE.plan)
    assert {c.model for c in planned} == {"medspectralnet", "resnet18", *VARIANTS} - {UNPLANNED}
    datasets = {(c.recipe, c.dataset) for c in planned}
    at_length = {("paper_b", name) for name in ("breastmnist", "pneumoniamnist")}
    assert datasets == {("table2", "breastmnist_64"), *at_length}
    assert {c.pretrained for c in planned} == {"imagenet"}


def test_the_matrix_holds_every_run_that_is_compared():
    planned = planned_configs(range(TABLE.plan.rule.min_seeds), plan=TABLE.plan)
    cells = {replace(config, seed=seed) for config in CELLS.values() for seed in range(5)}
    assert cells <= planned <= {*load_matrix("paper"), *load_matrix("evidence")}


def test_cells_are_three_optimizers_by_two_augmentations_each_beside_its_printed_row():
    assert [(c.optimizer, c.cutmix) for c in CELLS.values()] == [
        (optimizer, cutmix) for optimizer in ("sgd", "rmsprop", "adam") for cutmix in (0.0, 0.5)
    ]
    assert {c.augmentation for c in CELLS.values()} == {"normal"}
    for optimizer in ("SGD", "RMSprop", "Adam"):
        plain, mixed = CELLS[f"{optimizer}, normal"], CELLS[f"{optimizer}, normal + CutMix"]
        assert replace(plain, cutmix=0.5) == mixed


def test_comparisons_differ_in_what_they_name_alone():
    assert all(departures(pair) == {"cutmix"} for pair in pairs("cutmix").values())
    by_optimizer = pairs("optimizer").values()
    # An optimizer comes with the learning rate that was tuned for it.
    assert all(departures(p) - {"learning_rate"} == {"optimizer"} for p in by_optimizer)
    assert len({frozenset((p.a.optimizer, p.b.optimizer)) for p in by_optimizer}) == 3
    for family in ("blocks", "plain", "read_otherwise", "readings"):
        assert all(departures(pair) == {"model"} for pair in pairs(family).values())
    apart = [departures(pair) for pair in pairs("tenth").values()]
    assert apart == [{"model"}, {"model"}, {"cutmix"}]
    assert departures(pairs("augmentation")["flips_alone"]) == {"augmentation", "cutmix"}
    assert {p.a.epochs for p in pairs("tenth").values()} == {20}  # of 200: what the budget asks
    assert {p.a.model for p in pairs("blocks").values()} == {"medspectralnet"}
    assert {p.b.model for p in pairs("blocks").values()} == set(ABLATION)
    assert {p.b.model for p in pairs("plain").values()} == {"medspectralnet_plain"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("cells:", "cels:"), "table2.yaml: the key 'cells' is missing"),
        (("network:", "systems: []\nnetwork:"), "table2.yaml: unknown key 'systems'"),
        (("row: MedSpectralNet", "row: MedSpectral"), "table2.yaml, network: .*Did you mean"),
        (
            ('row: "SGD, normal"', 'row: "SGD, plain"'),
            "cells.SGD, normal.published: .*Did you mean",
        ),
        (("runs: &sgd", "run: &sgd"), "the key 'runs' is missing"),
        (("optimizer: sgd,", "optimizer: sgd, weight_decay: 1e-2,"), "YAML reads 1e-4 as text"),
        (("_plain}", "_plane}"), "unknown model 'medspectralnet_plane'; known: medspectralnet,"),
    ],
)
def test_a_plan_out_of_order_is_refused(tmp_path, change, message):
    assert change[0] in SHIPPED
    (tmp_path / "table2.yaml").write_text(SHIPPED.replace(*change, 1))
    with pytest.raises(PlanError, match=message):
        load_table2(tmp_path / "table2.yaml", models=list_models())


# --- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "wrong", "seeds", "verdict"),
    [
        ("86.5", 20, range(5), COMPATIBLE),
        ("97.0", 20, range(5), OURS_LOWER),
        ("70.0", 20, range(5), OURS_HIGHER),
        ("86.5", 20, range(4), TOO_FEW_SEEDS),
        ("86.5", None, (), NOT_RUN),
        ("not given", 20, range(5), NO_VERDICT),
    ],
)
def test_a_cell_is_judged_by_its_own_number(results_tree, printed, wrong, seeds, verdict):
    value, low, high = parse_printed(printed)
    (cell, *_) = TABLE.cells
    published = replace(cell.published, printed=printed, value=value, low=low, high=high)
    table = TABLE.model_copy(update={"cells": (cell.model_copy(update={"published": published}),)})
    if wrong is not None:
        fabricate_seeds(cell.config, wrong=wrong, seeds=seeds)
    (result,) = judge_cells(stored(), table, rules=RULES)
    assert result.verdict == verdict
    if len(seeds) == 5 and value is not None:
        (short,) = judge_cells(stored(), table, rules=load_rules())
        assert short.verdict == SHORT


def found(verdicts):
    """The family "optimizer" with the given verdicts, in the plan's order."""
    return [
        Compared(pair.name, pair.title, None, None, pair, verdict=verdict)
        for pair, verdict in zip(pairs("optimizer").values(), verdicts, strict=True)
    ]


@pytest.mark.parametrize(
    ("verdicts", "best"),
    [  # Adam - SGD, Adam - RMSprop, RMSprop - SGD
        ((SHOWN, SHOWN, INCONCLUSIVE), "Adam is shown to be best"),
        ((SHOWN_REVERSED, INCONCLUSIVE, SHOWN_REVERSED), "SGD is shown to be best"),
        ((INCONCLUSIVE, SHOWN_REVERSED, SHOWN), "RMSprop is shown to be best"),
        ((SHOWN, INCONCLUSIVE, SHOWN), NO_BEST),
        ((SHOWN, SHOWN_REVERSED, SHOWN_REVERSED), NO_BEST),  # in a circle
        ((INCONCLUSIVE,) * 3, NO_BEST),
        ((SHOWN, UNTESTABLE, SHOWN), NO_BEST),
        ((SHOWN, SHOWN, TOO_FEW_SEEDS), TOO_FEW_SEEDS),
        ((SHOWN, NOT_RUN, TOO_FEW_SEEDS), NOT_RUN),
    ],
)
def test_the_best_optimizer_is_better_than_each_of_the_others(verdicts, best):
    other = (INCONCLUSIVE,) * 3
    assert best_optimizers(found([*verdicts, *other])) == {
        "normal": best,
        "normal + CutMix": NO_BEST,
    }
    assert best_optimizers(found([*other, *verdicts]))["normal + CutMix"] == best


def test_comparisons_of_stored_runs_come_out_each_way(groups):
    verdicts = {
        (family.name, c.name): c.verdict
        for family in TABLE.plan.families
        for c in compare_family(family, groups, plan=TABLE.plan, rules=RULES)
    }
    assert {key: verdict for key, verdict in verdicts.items() if verdict != NOT_RUN} == {
        ("cutmix", "sgd"): INCONCLUSIVE,
        ("cutmix", "rmsprop"): TOO_FEW_SEEDS,
        ("cutmix", "adam"): SHOWN,
        ("optimizer", "adam_sgd"): INCONCLUSIVE,
        ("optimizer", "adam_rmsprop"): TOO_FEW_SEEDS,
        ("optimizer", "rmsprop_sgd"): TOO_FEW_SEEDS,
        ("optimizer", "adam_sgd_cutmix"): SHOWN,
        ("optimizer", "adam_rmsprop_cutmix"): SHOWN,
        ("optimizer", "rmsprop_sgd_cutmix"): INCONCLUSIVE,
        ("blocks", "contextgate"): INCONCLUSIVE,
        ("blocks", "plain"): SHOWN,
        ("plain", "spectralflow_alone"): SHOWN,
    }


# --- tables --------------------------------------------------------------------------------------


def test_tables_without_any_run():
    files = table2_pages([], TABLE, RULES).files
    page = files["table2.md"]
    assert "No run of the paper profile on real images is stored yet" in page
    for title in CELLS:
        cells = line(page, f"| {title} |")
        assert cells[2:8] == [NOT_RUN, "", "", "", "", ""]
        assert cells[-1] == NO_NUMBER
    assert line(page, "| `medspectralnet_k5` |")[3] == NOT_RUN
    assert "| normal | not run |" in page and "| normal + CutMix | not run |" in page
    assert pd.read_csv(io.StringIO(files["table2.csv"]))["accuracy_mean"].isna().all()
    readme = table2_pages([], TABLE, RULES).block
    assert readme.count(NOT_RUN) >= len(CELLS)


def test_the_cells_say_what_the_runs_say(groups, files):
    cells = line(files["table2.md"], "| Adam, normal + CutMix |")
    accuracy = np.array([1 - (10 + i) / 156 for i in range(5)])
    assert cells[1:4] == [
        *(f"{CELLS['Adam, normal + CutMix'].learning_rate:g}", "n = 5"),
        f"{100 * accuracy.mean():.1f} ± {100 * accuracy.std(ddof=1):.1f}",
    ]
    for interval in cells[4:7]:  # other images, these, one more run
        low, high = map(float, interval.split(" to "))
        assert low < 100 * accuracy.mean() < high
    assert cells[10:] == ["not given", NO_NUMBER]
    assert line(files["table2.md"], "| RMSprop, normal |")[2] == "n = 2"


def test_the_cells_as_data(files):
    frame = pd.read_csv(io.StringIO(files["table2.csv"])).set_index("cell")
    assert list(frame.index) == list(CELLS)
    adam = frame.loc["Adam, normal"]
    assert adam["accuracy_mean"] == pytest.approx(1 - 57 / 156, abs=1e-4)
    assert (adam["n_seeds"], adam["seeds"], adam["n_test_images"]) == (5, "0 1 2 3 4", 156)
    assert adam["one_more_low"] < adam["accuracy_low"] < adam["accuracy_mean"]
    assert np.isnan(adam["published_accuracy"])
    assert list(frame["learning_rate"]) == [config.learning_rate for config in CELLS.values()]
    assert frame.loc["RMSprop, normal", "accuracy_low"] < 1 - 58.5 / 156


def test_the_comparisons_as_data(files):
    frame = pd.read_csv(io.StringIO(files["table2_comparisons.csv"]))
    assert len(frame) == sum(len(family.pairs) for family in TABLE.plan.families)
    row = frame.set_index(["family", "comparison"]).loc["cutmix", "adam"]
    assert row["accuracy_difference"] == pytest.approx(45 / 156, abs=1e-4)
    assert row["verdict"] == SHOWN


def test_each_question_has_its_answer(groups, files):
    for text in (files["table2.md"], table2_pages(groups, TABLE, RULES).block):
        assert "| normal | too few seeds |" in text
        assert "| normal + CutMix | Adam is shown to be best |" in text
        assert SHOWN in line(text, "| CutMix with Adam |")
        assert INCONCLUSIVE in line(text, "| ContextGate |")
    assert line(table2_pages(groups, TABLE, RULES).block, "| RMSprop, normal |")[1] == "n = 2"


def test_the_networks_of_the_ablation_stand_once(files):
    page = files["table2.md"]
    for name in ("medspectralnet", *ABLATION):
        assert sum(row.startswith(f"| `{name}` |") for row in page.splitlines()) == 1
    assert line(page, "| `medspectralnet_no_contextgate` |")[1:4] == ["12.35", "1.860", "n = 5"]


# --- the picture ---------------------------------------------------------------------------------


def test_the_picture_shows_means_seeds_and_the_printed_accuracy(groups, axes):
    cells = judge_cells(groups, TABLE, rules=RULES)
    own = replace(cells[0].cell.published, value=80.0, printed="80.0")
    own_cell = cells[0].cell.model_copy(update={"published": own})
    cells[0] = replace(cells[0], cell=own_cell)
    forest.plot_cells(cells, TABLE.network, axes=axes)
    points = {
        marker: [(*artist.get_xdata(), *artist.get_ydata()[:1]) for artist in axes.lines
                 if artist.get_marker() == marker]
        for marker in ("o", "|", "D")
    }  # fmt: skip
    means = [100 * result.group.accuracy.value for result in cells]
    assert points["o"] == [(pytest.approx(mean), y) for y, mean in enumerate(means)]
    assert len(points["|"]) == 6
    assert len(points["|"][2]) == 2 + 1  # two seeds, and the height
    assert points["D"] == [(pytest.approx(80.0), 0)]
    (network,) = [artist for artist in axes.lines if artist.get_linestyle() == "--"]
    assert network.get_xdata() == pytest.approx([86.5, 86.5])
    assert to_hex(network.get_color()) == to_hex(style.COLOURS[1])
    assert [label.get_text() for label in axes.get_yticklabels()] == list(CELLS)


def test_the_picture_marks_what_is_not_run(axes):
    forest.plot_cells(judge_cells([], TABLE, rules=RULES), TABLE.network, axes=axes)
    assert [text.get_text() for text in axes.texts] == [NOT_RUN] * len(CELLS)
