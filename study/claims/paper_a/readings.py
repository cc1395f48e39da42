"""How the loss of the stored runs reads Eq. 10, and what they give under other readings.

All runs but those of the family `readings` have the reading that is linear in the label. It is the
one that the text after Eq. 8 excludes (claim A13), so every claim on the loss says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from helpers.config import READINGS, RunConfig
from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group, find_group
from study.claims.paper_a.planned import results
from study.claims.seeds import with_interval
from study.compare import Compared, measure

LINEAR = "linear"
OTHERS = tuple(name for name in READINGS if name != LINEAR)
# Title of a comparison -> reading -> difference of the AUCs; None where no side has the linear one.
Readings = Mapping[str, Mapping[str, Estimate]] | None


def is_linear(config: RunConfig) -> bool:
    """Say whether a protocol's loss is read as linear in the label, and another would differ."""
    matters = config.loss == "focal" and config.focal_gamma > 0 and config.label_smoothing > 0
    return matters and config.focal_reading == LINEAR


def sides(compared: Compared, reading: str) -> tuple[Group | None, ...]:
    """Return both sides' runs where the loss is read in another way, None where there are none."""
    configs = (compared.pair.a, compared.pair.b)
    read = [replace(c, focal_reading=reading) if is_linear(c) else c for c in configs]
    return tuple(find_group(results().groups, config) for config in read)


def others_of(compared: Sequence[Compared]) -> Readings:
    """Return what comparisons give where the loss of both sides is read in another way."""
    linear = [c for c in compared if is_linear(c.pair.a) or is_linear(c.pair.b)]
    if not linear:
        return None
    found: dict[str, dict[str, Estimate]] = {}
    for c in linear:
        for reading in OTHERS:
            auc = measure(*sides(c, reading)).get("auc")
            if auc is not None:
                found.setdefault(c.title, {})[reading] = auc
    return found


def said(readings: Readings) -> str:
    """Say how the loss is read, and what other readings give; "" where no side has such a loss."""
    return "" if readings is None else linear_said(readings)


def linear_said(under: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Say that the loss is read as linear in the label, and what other readings give.

    Args:
        under: what is compared, or measured -> reading -> difference, as far as runs are stored.
    """
    text = (
        " The loss of these runs reads Eq. 10 as linear in the label, which the text after Eq. 8 "
        "excludes (A13)"
    )
    if not under:
        return f"{text}; the same under another reading was not run."
    listed = "; ".join(
        f"{what}, {', '.join(f'{name} {with_interval(d)}' for name, d in found.items())}"
        for what, found in under.items()
    )
    missing = [name for name in OTHERS if not any(name in found for found in under.values())]
    not_run = f" ({', '.join(missing)} was not run)" if missing else ""
    return f"{text}. The same under other readings{not_run}: {listed}."
