"""The table of sizes: what is counted, what counts as equal, and that no model is forgotten."""

import pytest
import torch
from torch import nn

from helpers.models.counting import count_macs, count_parameters
from helpers.models.registry import build_model, list_models
from study.plans.form import PlanError
from study.published import Published, lookup, parse_printed
from study.sizes import (
    Counted,
    Counts,
    PrintedSize,
    Source,
    count_network,
    count_sizes,
    matches,
    printed_sizes,
)
from study.tables import sizes
from study.tables.sizes import NONE_PUBLISHED, count_table, mismatches, size_pages, size_table
from study.verdicts import MATCH, NO_MATCH, UNVERIFIED

SMALL = ("resnet18", "resnet18_28", "medvit_t")


@pytest.fixture
def small_registry(monkeypatch):
    monkeypatch.setattr(sizes, "list_models", lambda: SMALL)


def printed(text, mark="S"):
    value, low, high = parse_printed(text)
    return Published(value, text, mark, "a table", "M", low=low, high=high)


# --- claims ---


def test_claims_speak_of_registered_models_and_published_values():
    assert {claim.model for claim in printed_sizes()} <= set(list_models())
    assert len(set(printed_sizes())) == len(printed_sizes())
    for claim in printed_sizes():
        columns = [c for c in (claim.source.params, claim.source.macs) if c]
        assert columns
        for column in columns:
            source = claim.source
            lookup(paper=source.paper, table=source.table, row=claim.row, column=column)


@pytest.mark.parametrize(
    "family", ["medmamba_", "vmamba_", "medvit_", "convnext", "swin", "mobilevit", "nest"]
)
def test_every_comparator_of_paper_b_has_a_published_size(family):
    models = {name for name in list_models() if name.startswith(family)}
    assert models
    assert models <= {claim.model for claim in printed_sizes()}


def test_sizes_in_the_rows_of_timm_are_those_that_are_counted():
    for claim in printed_sizes():
        if " @" in claim.row:
            assert claim.row.endswith(f" @{claim.image_size}")


def test_a_file_that_is_not_in_order_is_refused(tmp_path):
    file = tmp_path / "sizes.yaml"
    for row in ("{model: a, source: b, row: c}", "{model: a, source: timm, row: c, colour: red}"):
        file.write_text("sources:\n  timm: {title: t, paper: p, table: t}\nrows:\n  - " + row)
        with pytest.raises(PlanError, match=r"sizes\.yaml"):
            printed_sizes(file)


# --- counting ---


def test_count_is_that_of_the_efficiency_module():
    with torch.device("meta"):
        network = build_model("medvit_t", num_classes=11, pretrained="none")
    counts = count_sizes("medvit_t", num_classes=11, image_size=224)
    assert counts.parameters == count_parameters(network)
    assert counts.macs == count_macs(network, image_size=224)


def test_norms_and_products_of_a_network_counted_by_hand():
    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
            self.batch_norm, self.group_norm = nn.BatchNorm2d(8), nn.GroupNorm(2, 8)
            self.layer_norm = nn.LayerNorm(8)

        def forward(self, x):
            x = self.group_norm(self.batch_norm(self.conv(x)))
            tokens = self.layer_norm(x.flatten(2).transpose(1, 2))  # (B, 16, 8)
            return tokens @ tokens.transpose(1, 2)

    with torch.device("meta"):
        counts = count_network(Tiny().eval(), image_size=4)
    convolution, product = 4 * 4 * 3 * 8 * 9, 16 * 16 * 8
    assert counts == Counts(
        parameters=3 * 8 * 9 + 3 * 16,
        macs=convolution + product,
        mixing_macs=product,
        norm_macs=(2 + 5 + 5) * 8 * 16,
    )


def test_the_scan_is_counted_and_told_apart():
    counts = count_sizes("medmamba_t", num_classes=2, image_size=32)
    # Stages of 8, 4, 2 and 1 positions a side; the scan has twice half of the channels, 16 states.
    depths, widths, sides = (2, 2, 4, 2), (96, 192, 384, 768), (8, 4, 2, 1)
    stages = zip(depths, widths, sides, strict=True)
    scans = sum(depth * 4 * 4 * width * 16 * side**2 for depth, width, side in stages)
    assert counts.mixing_macs >= scans
    assert counts.macs > counts.mixing_macs


# --- verdicts ---


@pytest.mark.parametrize(
    ("count", "text", "expected"),
    [
        (28.588, "28.59", True),
        (28.584, "28.59", False),
        (4.026, "4.0", True),
        (4.06, "4.0", False),
        (4.09, ">=4.0", True),
        (3.99, ">=4.0", False),
        (8.4, "<=8.5", True),
        (8.6, "<=8.5", False),
        (1.9, "1.86-2.0", True),
        (1.85, "1.86-2.0", False),
    ],
)
def test_a_count_matches_if_it_rounds_to_the_printed_digits(count, text, expected):
    assert matches(count, printed(text)) is expected


@pytest.mark.parametrize(
    ("low", "high", "text", "expected"),
    [
        (4.45, 4.47, "4.47", True),
        (4.45, 4.47, "4.46", True),
        (4.45, 4.47, "4.48", False),
        (4.45, 4.47, "4.44", False),
        (3.9, 4.05, ">=4.0", True),
        (3.9, 3.99, ">=4.0", False),
        (2.1, 2.2, "1.86-2.0", False),
    ],
)
def test_a_range_of_counts_matches_if_one_in_it_does(low, high, text, expected):
    assert matches(low, printed(text), up_to=high) is expected


def row_of(model, source):
    frame = size_table([model]).frame
    (row,) = frame[frame["source"] == source].to_dict("records")
    return row


@pytest.mark.parametrize("model", ["convnext_tiny", "swin_tiny"])
def test_a_source_that_does_not_say_how_it_counts_is_met_by_either_way(model):
    row = row_of(model, "paper B, Table 4")
    assert row["macs_verdict"] == MATCH
    # Without normalisation it is another number.
    name = {"convnext_tiny": "ConvNeXt-T", "swin_tiny": "Swin-T"}[model]
    assert not matches(row["macs"], lookup(paper="B", table="Table 4", row=name, column="flops"))


def test_what_is_not_a_number_cannot_be_compared():
    with pytest.raises(ValueError, match=r"'not given' \(a table\) cannot be compared"):
        matches(1.0, printed("not given"))


def test_what_is_quoted_from_memory_is_not_judged():
    assert Counted(count=31.15, published=printed("31.1")).verdict == MATCH
    assert Counted(count=31.15, published=printed("10.8")).verdict == NO_MATCH
    for text in ("31.1", "10.8"):
        assert Counted(count=31.15, published=printed(text, "M")).verdict == UNVERIFIED
    assert Counted(count=31.15, published=None).verdict == ""


# --- table ---


def test_resnet18_matches_both_counters():
    without, with_norms = (row_of("resnet18", source) for source in ("torch's counter", "fvcore"))
    assert without["macs_verdict"] == with_norms["macs_verdict"] == MATCH
    assert with_norms["macs"] > without["macs"]
    benchmark = row_of("resnet18", "timm's benchmark")
    assert (benchmark["classes"], benchmark["parameters_verdict"]) == (1000, MATCH)


def test_no_model_is_forgotten(small_registry):
    frame = size_table().frame
    assert list(dict.fromkeys(frame["model"])) == list(SMALL)
    (bare,) = frame[frame["model"] == "resnet18_28"].to_dict("records")
    assert bare["source"] == NONE_PUBLISHED
    assert bare["parameters_verdict"] == bare["macs_verdict"] == ""


def test_a_mismatch_is_shown_with_other_ways_of_counting(monkeypatch):
    monkeypatch.setattr(
        sizes, "lookup", lambda **key: printed("9.9" if key["column"] == "macs" else "11.7")
    )
    source = Source(
        title="timm's benchmark", paper="timm", table="benchmark", num_classes=1000, norms=True
    )
    monkeypatch.setattr(
        sizes, "all_printed", lambda: [PrintedSize(model="resnet18", source=source, row="any")]
    )
    table = size_table(["resnet18"])
    assert count_table(table).cells == [["1", "2", "1", "1", "0"]]
    (row,) = mismatches(table).frame.to_dict("records")
    assert (row["macs_verdict"], row["note"]) == (NO_MATCH, "without normalisation 1.81")


def test_files(small_registry):
    files = size_pages().files
    assert set(files) == {"model_sizes.md", "model_sizes.csv"}
    assert len(files["model_sizes.csv"].splitlines()) == 1 + len(size_table().frame)
    assert (
        "| resnet18 | fvcore | 1000 | 224 | 11.69 |  |  | 1.82* | 1.82 [S] | match |  |"
        in (files["model_sizes.md"])
    )
