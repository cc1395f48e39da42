"""The published values: files in order, arithmetic of the papers, helpful errors."""

import shutil

import numpy as np
import pandas as pd
import pytest
from medmnist import INFO

from helpers.paths import published_dir
from study.published import (
    COLUMNS,
    MARKS,
    Published,
    PublishedError,
    comparators,
    load_published,
    lookup,
    parse_printed,
    proposed_accuracy,
)

SIX = ("breastmnist", "pneumoniamnist", "bloodmnist", "dermamnist", "organcmnist", "organsmnist")


def value(paper, table, row, column):
    return lookup(paper=paper, table=table, row=row, column=column).value


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("86.5", (86.5, 86.5, 86.5)),
        ("5.25e-4", (5.25e-4, 5.25e-4, 5.25e-4)),
        ("0.972-0.999", (None, 0.972, 0.999)),
        ("<=10", (None, None, 10.0)),
        (">90", (None, 90.0, None)),
        ("3 or 5", (None, None, None)),
        ("not given", (None, None, None)),
    ],
)
def test_printed_values_are_read(printed, expected):
    assert parse_printed(printed) == expected


@pytest.mark.parametrize("printed", ["", "86,5", "about 3", ".9", "0.9-0.8", "nan"])
def test_unreadable_values_are_refused(printed):
    with pytest.raises(PublishedError, match="range"):
        parse_printed(printed)


def test_all_files_load_with_known_marks_and_unique_keys():
    published = load_published()
    assert set(published["mark"]) == set(MARKS)
    assert not published.duplicated(["paper", "table", "row", "column"]).any()
    plain = published["value"].str.fullmatch(r"\d+(\.\d+)?")
    assert published.loc[plain & (published["unit"] != "text"), "number"].notna().all()


def test_shares_lie_on_their_scale():
    published = load_published()
    for unit, top in (("%", 100.0), ("fraction", 1.0)):
        share = published.loc[published["unit"] == unit, ["low", "high"]].stack().dropna()
        assert share.between(0, top).all(), unit


def test_a_result_is_typed_in_one_file_only():
    """The same system, data set and metric from the same source never stands in two files."""
    published = load_published()
    results = published[published["column"].str.contains("/")]
    assert (results.groupby(["source", "row", "column"])["file"].nunique() == 1).all()


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "published"
    shutil.copytree(published_dir(), folder)
    return folder


def append(folder, **fields):
    row = dict.fromkeys(COLUMNS, "x") | {"value": "1", "unit": "", "mark": "S"} | fields
    path = folder / "extra.csv"
    pd.DataFrame([row], columns=COLUMNS).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mark": "Q"}, "extra.csv, line 2 .*unknown mark 'Q'; known: T, R, S, M"),
        ({"unit": "furlong"}, "unknown unit 'furlong'; known: "),
        ({"value": "many"}, "Cannot read the published value 'many'"),
        ({"source": " "}, "field 'source' is empty"),
        (
            {"paper": "A", "table": "Table 4", "row": "ResNet34", "column": "auc"},
            "more than once: extra.csv.*paper_a.csv",
        ),
    ],
)
def test_files_out_of_order_are_refused(copied, fields, message):
    append(copied, **fields)
    with pytest.raises(PublishedError, match=message):
        load_published(copied)


def test_wrong_columns_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(PublishedError, match="no CSV file"):
        load_published(tmp_path)
    (tmp_path / "bad.csv").write_text("paper,value\nA,1\n")
    with pytest.raises(
        PublishedError, match=r"bad.csv: it has the columns paper, value; expected paper, table"
    ):
        load_published(tmp_path)


def test_loading_returns_a_copy():
    mine = load_published()
    mine["value"] = "0"
    assert (load_published()["value"] != "0").any()


# --- lookup ----------------------------------------------------------------------------------


def test_lookup_returns_value_mark_and_source():
    found = lookup(
        paper="B", table="Table 3", row="MedSpectralNet", column="pneumoniamnist/accuracy"
    )
    assert (found.value, found.printed, found.mark) == (94.2, "94.2", "T")
    assert found.fraction == pytest.approx(0.942)
    assert "e0346128" in found.source
    assert found.may_carry_verdict


def test_lookup_of_a_range_and_of_an_absent_number():
    band = lookup(paper="B", table="Fig. 6", row="per class", column="organcmnist/auc")
    assert (band.value, band.low, band.high) == (None, 0.972, 0.999)
    absent = lookup(paper="B", table="methods", row="training", column="learning_rate")
    assert (absent.value, absent.printed) == (None, "not given")
    assert not band.may_carry_verdict
    assert not absent.may_carry_verdict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paper": "C"}, "unknown paper 'C'.*Known here: .*'A'"),
        ({"table": "Table 44"}, "unknown table 'Table 44'. Did you mean 'Table 4'"),
        ({"row": "ResNet35"}, "unknown row 'ResNet35'. Did you mean 'ResNet34'"),
        ({"column": "acc"}, "unknown column 'acc'.*'accuracy'"),
    ],
)
def test_lookup_names_what_is_near(change, message):
    key = {"paper": "A", "table": "Table 4", "row": "ResNet34", "column": "auc"} | change
    with pytest.raises(PublishedError, match=message):
        lookup(**key)


def test_a_value_that_is_no_share_has_no_fraction():
    with pytest.raises(PublishedError, match="no share"):
        _ = lookup(paper="A", table="Table 4", row="ResNet34", column="params").fraction


def test_unverified_values_carry_no_verdict():
    assert not Published(0.9, "0.9", "M", "x", "fraction").may_carry_verdict
    published = load_published()
    assert set(published.loc[published["row"] == "MedViT-S", "mark"]) == {"M"}


# --- comparators -----------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", SIX)
def test_comparators_are_on_one_scale_sorted_and_no_claims(dataset):
    table = comparators(dataset, "accuracy")
    assert table["value"].between(0.5, 1).all()
    assert table["value"].is_monotonic_decreasing
    assert (table["row"] == "MedSpectralNet").sum() == 1
    assert set(table["pretrained"]) <= {"imagenet", "none", "not given"}
    assert not table["row"].str.contains("gain|quoted").any()
    assert not table.duplicated(["paper", "row"]).any()


def test_comparators_know_how_systems_were_initialised():
    table = comparators("breastmnist", "accuracy").set_index(["paper", "row"])["pretrained"]
    assert table["B", "MedSpectralNet"] == "imagenet"
    assert table["doerrich2025", "ResNet-18 @224"] == "imagenet"
    assert table["medmnist_v2", "ResNet-18 (28)"] == "none"
    assert table["medmnist_v2", "auto-sklearn"] == "not given"


def test_comparators_of_the_private_angiograms():
    assert list(comparators("cag", "f1")["row"])[:1] == ["Brain-Inspired Hybrid (Ours)"]
    assert np.isnan(comparators("cag", "accuracy").set_index("row").loc["LQER", "value"])


def test_comparators_name_what_is_near():
    with pytest.raises(
        PublishedError, match=r"'brestmnist' and 'accuracy'.*'breastmnist/accuracy'"
    ):
        comparators("brestmnist", "accuracy")


# --- paper A: its numbers agree with each other ------------------------------------------------


def confusion_of_paper_a():
    actual = ("actual negative", "actual positive")
    predicted = ("predicted negative", "predicted positive")
    cells = [[value("A", "Table 3", row, column) for column in predicted] for row in actual]
    return np.array(cells)


def test_table_2_follows_from_table_3():
    (tn, fp), (fn, tp) = confusion_of_paper_a()
    expected = {
        "accuracy": 100 * (tp + tn) / (tp + tn + fp + fn),
        "sensitivity": 100 * tp / (tp + fn),
        "specificity": 100 * tn / (tn + fp),
        "ppv": 100 * tp / (tp + fp),
        "npv": 100 * tn / (tn + fn),
    }
    for metric, computed in expected.items():
        assert round(computed, 2) == value("A", "Table 2", "test", metric), metric
    assert round(2 * tp / (2 * tp + fp + fn), 4) == value("A", "Table 2", "test", "f1")
    assert round(100 * fn / (tp + fn), 2) == value(
        "A", "section 3.3", "test", "false_negative_rate"
    )
    assert tp + tn == value("A", "section 3.2", "test set", "correct")
    assert tp + fn == value("A", "section 3.2", "test set", "positive")
    assert tn + fp == value("A", "section 3.2", "test set", "negative")


def test_table_4_agrees_with_table_2_and_with_its_gains():
    ours = "Brain-Inspired Hybrid (Ours)"
    for metric, digits in (("accuracy", 2), ("auc", 4), ("f1", 4)):
        best = value("A", "Table 4", ours, metric)
        assert best == value("A", "Table 2", "test", metric)
        for baseline in ("ResNet18 (baseline)", "Quantum-Enhanced ResNet18"):
            if (baseline, metric) == ("Quantum-Enhanced ResNet18", "f1"):
                continue  # the text gives no F1 gain over this one
            gain = value("A", "section 3.4", f"gain over {baseline}", metric)
            assert round(best - value("A", "Table 4", baseline, metric), digits) == gain


def fits(accuracy, n):
    return any(
        round(100 * k / n, 2) == accuracy for k in (int(accuracy * n / 100) + i for i in (0, 1))
    )


def test_split_sizes_follow_from_table_1():
    epochs = [f"epoch {e}" for e in (1, 2, 3, 4)]
    train = [value("A", "Table 1", e, "train_accuracy") for e in epochs]
    val = [value("A", "Table 1", e, "val_accuracy") for e in epochs]
    sizes = [n for n in range(1, 1200) if all(fits(a, n) for a in train)]
    assert sizes[:2] == [
        value("A", "recovered", "training set", "images"),
        value("A", "recovered", "training set", "next_candidate"),
    ]
    for epoch, accuracy in zip(epochs, train, strict=True):
        correct = value("A", "recovered", epoch, "train_correct")
        assert round(100 * correct / sizes[0], 2) == accuracy
    smallest = min(n for n in range(1, 1200) if all(fits(a, n) for a in val))
    assert smallest == value("A", "recovered", "validation set", "images")
    test_images = value("A", "section 3.2", "test set", "images")
    assert sizes[0] + smallest + test_images == value("A", "recovered", "data", "images")


def test_learning_rates_are_those_of_the_recovered_one_cycle():
    one_cycle = {
        c: value("A", "recovered", "OneCycleLR", c)
        for c in ("max_lr", "div_factor", "epochs", "pct_start", "batch_size")
    }
    images = value("A", "recovered", "training set", "images")
    steps = -(-int(images) // int(one_cycle["batch_size"]))
    start = one_cycle["max_lr"] / one_cycle["div_factor"]
    # The rising half of torch's cosine OneCycleLR, whose first phase ends one step early.
    rise = one_cycle["pct_start"] * one_cycle["epochs"] * steps - 1
    for epoch in (1, 2, 3, 4):
        share = (1 - np.cos(np.pi * epoch * steps / rise)) / 2
        rate = start + share * (one_cycle["max_lr"] - start)
        printed = lookup(paper="A", table="Table 1", row=f"epoch {epoch}", column="learning_rate")
        assert f"{rate:.2e}".replace("e-0", "e-") == printed.printed


# --- paper B: its numbers against each other and against its sources -----------------------------


def test_savings_are_recomputed():
    def saving(small, large):
        return 100 * (1 - small / large)

    params = saving(
        value("B", "Fig. 14", "MedSpectralNet", "params"),
        value("B", "Fig. 14", "MedMamba-T", "params"),
    )
    row = "params saved against MedMamba-T"
    assert round(params) == value("B", "recovered", row, "computed")
    assert round(params) != value("B", "claims", row, "claimed")
    for other in ("ConvNeXt-T", "Swin-T"):
        flops = saving(
            value("B", "Table 4", "MedSpectralNet", "flops"), value("B", "Table 4", other, "flops")
        )
        row = f"FLOPs saved against {other}"
        assert round(flops, 1) == value("B", "recovered", row, "computed")
        assert round(flops, 1) != value("B", "claims", row, "claimed")


@pytest.mark.parametrize(
    ("system", "paper", "table", "datasets"),
    [
        ("auto-sklearn", "medmnist_v2", "Table 3", SIX),
        ("ResNet-18 (28)", "medmnist_v2", "Table 3", SIX[1:2]),
        ("ResNet-18 (224)", "medmnist_v2", "Table 3", SIX[1:2]),
        ("ResNet-50 (28)", "medmnist_v2", "Table 3", SIX[1:2]),
        ("ResNet-50 (224)", "medmnist_v2", "Table 3", SIX[1:2]),
        ("MedMamba-T", "medmamba", "results", ("pneumoniamnist", "organcmnist", "organsmnist")),
    ],
)
def test_gains_of_paper_b_follow_from_its_sources(system, paper, table, datasets):
    for dataset in datasets:
        column = f"{dataset}/accuracy"
        ours = value("B", "Table 3", "MedSpectralNet", column)
        theirs = 100 * value(paper, table, system, column)
        gain = value("B", "claims", f"gain over {system}", column)
        assert round(ours - theirs, 1) == gain, column


def test_confusion_diagonals_fit_into_the_test_set():
    published = load_published()
    cells = published[(published["table"] == "Fig. 5") & published["number"].notna()]
    correct = [r.number for r in cells.itertuples() if r.row.split()[-1] == r.column.split()[-1]]
    assert len(correct) == 9
    n_test = value("medmnist", "splits", "organcmnist", "test")
    share = value("B", "Table 3", "MedSpectralNet", "organcmnist/accuracy") / 100
    # Two diagonal cells are not in the text; what is there must leave room for them.
    assert sum(correct) < share * n_test


def test_standard_errors():
    for row, column, p, n in (
        ("test set", "standard_error_at_0.80", 0.8, 120),
        ("breastmnist test set", "standard_error", 0.865, 156),
    ):
        paper = "B" if "breast" in row else "A"
        assert round(100 * (p * (1 - p) / n) ** 0.5, 1) == value(paper, "recovered", row, column)


# --- data sets -------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", SIX)
def test_splits_are_those_of_the_medmnist_package(dataset):
    info = INFO[dataset]
    for split, n in info["n_samples"].items():
        assert value("medmnist", "splits", dataset, split) == n
    assert value("medmnist", "splits", dataset, "classes") == len(info["label"])
    colour = lookup(paper="medmnist", table="splits", row=dataset, column="colour").printed
    assert colour == {1: "grey", 3: "RGB"}[info["n_channels"]]
    licence = lookup(paper="medmnist", table="splits", row=dataset, column="licence").printed
    assert licence == info["license"]


def test_blood_counts_of_paper_b():
    parts = [value("medmnist", "splits", "bloodmnist", s) for s in ("train", "val", "test")]
    assert sum(parts) == value("B", "section 4.1", "bloodmnist", "images")


def test_the_proposed_networks_accuracy_is_one_for_all_sizes_of_a_set():
    small, large = (proposed_accuracy(name) for name in ("breastmnist", "breastmnist_64"))
    assert small == large
    system, published = small
    assert (system, published.printed) == ("paper B, MedSpectralNet", "86.5")
    assert proposed_accuracy("phantom") is None and proposed_accuracy("npz:other") is None
    assert proposed_accuracy("cag:my_images") is None
    system, published = proposed_accuracy("npz:dermamnist_rebuilt")
    assert "on the official set" in system and published.printed == "78.4"


def test_the_claim_on_angiograms_is_paper_as_and_says_that_its_images_are_others():
    system, published = proposed_accuracy("cag:arcade_patches/subset800")
    assert published.printed == "85.00"
    assert "paper A" in system and "not public" in system
