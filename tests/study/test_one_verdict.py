"""One printed number has one verdict, wherever it is told: README, tables and ledger."""

from collections import defaultdict

from helpers.paths import results_root
from helpers.runs.groups import group_runs, is_real
from helpers.runs.store import list_runs
from study.claims.judge import CHECKS
from study.claims.ledger import load_claims
from study.claims.paper_a.sizes import counted_size
from study.claims.paper_b.results import table3
from study.claims.paper_b.sizes import stated_size, stated_total
from study.costs.findings import published_sizes
from study.costs.store import load_stores
from study.levels import judge_levels
from study.plans.costs import load_plan
from study.plans.verdicts import load_rules
from study.sizes import printed_sizes
from study.tables.accuracy import MEDMNIST, build_rows
from study.tables.answer import answer_rows
from study.tables.sizes import mismatches, size_table
from study.verdicts import (
    CONTRADICTED,
    MATCH,
    NO_MATCH,
    NO_VERDICT,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNVERIFIED,
)

Key = tuple[str, str, str, str]
# What the ledger calls a count that is the printed one, and one that is not.
IN_THE_LEDGER = {REPRODUCED: MATCH, NOT_REPRODUCED: NO_MATCH, CONTRADICTED: NO_MATCH}
SIZE_CHECKS = (counted_size, stated_size, stated_total)


def of_the_sizes(models) -> dict[Key, str]:
    """Verdicts of the table of model sizes."""
    found = {}
    for model in models:
        sizes = [size for size in printed_sizes() if size.model == model]
        for size, row in zip(sizes, size_table([model]).frame.to_dict("records"), strict=True):
            source = size.source
            for column, name in ((source.params, "parameters"), (source.macs, "macs")):
                if column and row[f"{name}_verdict"] != UNVERIFIED:
                    key = (source.paper, source.table, size.row, column)
                    found[key] = row[f"{name}_verdict"]
    return found


def of_the_costs() -> dict[Key, str]:
    """Verdicts of the efficiency study, on the device that the README speaks of."""
    sizes = published_sizes(load_stores()[0], load_plan())
    known = {("B", s.table, s.row, s.quantity): s.verdict for s in sizes}
    return {key: verdict for key, verdict in known.items() if verdict not in (NO_VERDICT, NOT_RUN)}


def of_the_ledger() -> dict[Key, str]:
    """Verdicts of the claims that are one printed size, on the number alone."""
    found = {}
    for claim in load_claims():
        check = CHECKS.get(claim.id)
        if check and check.function in SIZE_CHECKS and len(claim.sources) == 1:
            found[claim.sources[0]] = IN_THE_LEDGER[check(claim).verdict]
    return found


def test_a_printed_size_has_one_verdict_in_all_places():
    places = [of_the_costs(), of_the_ledger()]
    keys = set().union(*places)
    models = {
        c.model
        for c in printed_sizes()
        if (c.source.paper, c.source.table, c.row) in {k[:3] for k in keys}
    }
    places.append(of_the_sizes(sorted(models)))
    told = defaultdict(list)
    for place in places:
        for key, verdict in place.items():
            told[key].append(verdict)
    twice = {key: verdicts for key, verdicts in told.items() if len(verdicts) > 1}
    assert {("B", "Table 4", "ConvNeXt-T", "flops"), ("B", "Fig. 14", "Swin-T", "params")} <= set(
        twice
    )
    assert len(twice) >= 8
    assert not {key: verdicts for key, verdicts in twice.items() if len(set(verdicts)) > 1}


def test_the_readme_lists_just_the_sizes_that_do_not_match():
    models = ("convnext_tiny", "medspectralnet", "resnet18")
    frame = mismatches(size_table(models)).frame
    listed = set(zip(frame["model"], frame["source"], strict=True))
    verdicts = of_the_sizes(models)
    for size in (size for size in printed_sizes() if size.model in models):
        source = size.source
        keys = [(source.paper, source.table, size.row, c) for c in (source.params, source.macs)]
        expected = any(verdicts.get(key) == NO_MATCH for key in keys)
        assert ((size.model, source.title) in listed) == expected


def test_a_printed_accuracy_has_one_verdict_in_all_places(monkeypatch):
    monkeypatch.delenv("REPRO_RESULTS", raising=False)
    groups, rules = group_runs(filter(is_real, list_runs(results_root()))), load_rules()
    levels = {x.key: x for x in judge_levels(groups, datasets=[*MEDMNIST], rules=rules)}
    assert len(levels) >= 6
    told = defaultdict(list)
    papers = {c.published.row: c.published for c in rules.comparisons}
    for row in build_rows(groups, datasets=[*MEDMNIST], rules=rules):
        if row.published and row.verdict:
            told[*papers[row.system], f"{row.dataset}/accuracy"].append(row.verdict)
    for row in answer_rows(groups, rules):
        told[*papers[row.system], f"{row.dataset}/accuracy"].append(row.verdict)
    ledger = 0
    for claim in load_claims():
        check = CHECKS.get(claim.id)
        if check and check.function is table3:
            level = check.inputs(claim)["level"]
            told[level.key].append(level.verdict)
            assert level.verdict in check(claim).evidence
            ledger += 1
    assert ledger == 6
    assert {key: set(verdicts) for key, verdicts in told.items()} == {
        key: {level.verdict} for key, level in levels.items()
    }
    # In the table itself a number has its verdict once, whatever protocols stand beside it.
    own = [key for key in told if key[0] == "B"]
    assert [len(told[key]) for key in own] == [3] * 6
