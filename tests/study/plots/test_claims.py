"""How the claims come out: every state has one group, and the bars count them."""

from collections import Counter
from types import SimpleNamespace

import matplotlib.pyplot as plt

from helpers.plots import style
from study import verdicts
from study.claims.judge import STATES
from study.claims.ledger import KINDS
from study.claims.side_by_side import SideBySide
from study.plots import claims


def checked(paper, kind, state):
    return SimpleNamespace(claim=SimpleNamespace(paper=paper, kind=kind), state=state)


def test_every_state_of_a_claim_is_in_exactly_one_group():
    words = Counter(word for states in claims.GROUPS.values() for word in states)
    assert words == Counter(STATES)
    assert set(words) <= set(verdicts.MEANING)


def test_groups_look_different():
    looks = [claims._FILLS[group] for group in claims.GROUPS]
    assert len(set(looks)) == len(looks) == 6


def test_both_papers_have_one_scale_with_a_margin_and_one_legend():
    found = [checked("A", "arithmetic", verdicts.REPRODUCED)] * 3
    found += [checked("B", "result", state) for state in (verdicts.SHORT, verdicts.NOT_RUN)] * 10
    found += [checked("B", "result", verdicts.SLIP)]
    with style.style():
        figure = claims.draw_counts(found)
        figure.canvas.draw()
    a, b = figure.axes
    assert a.get_xlim() == b.get_xlim() and a.get_xlim()[1] > 21
    assert [one.get_title() for one in (a, b)] == ["Paper A, 3 claims", "Paper B, 21 claims"]
    widths = [[patch.get_width() for patch in bars] for bars in b.containers]
    row = KINDS.index("result")
    assert [bars[row] for bars in widths] == [0, 1, 0, 20, 0, 0]
    (legend,) = figure.legends
    groups = [text.get_text().split(":")[0] for text in legend.get_texts()]
    assert groups == list(claims.GROUPS)
    plt.close(figure)


def test_each_papers_interval_is_named_for_what_it_is():
    share = (0.8, 0.7, 0.9)
    rows = [SideBySide(f"{paper}, set", share, share, 5, verdicts.REPRODUCED) for paper in "AB"]
    with style.style():
        _, axes = plt.subplots()
        claims.plot_side_by_side(rows, axes=axes)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [word.split(",")[0] for word in words] == ["published", "ours", "ours"]
    assert "images and seeds" in words[1] and "one more run" in words[2]
    plt.close("all")
