"""Numbers and names as text for tables and sentences."""

import math

from helpers.config import RunConfig, make_config
from helpers.metrics.paired import Difference
from study.compare import Compared, judge_gains
from study.plans.comparisons import GAINS
from study.verdicts import A_BETTER, NO_DIFFERENCE, NOT_RUN, TOO_FEW_SEEDS


def protocol_text(config: RunConfig) -> str:
    """Write a protocol: model, recipe, and what departs from the recipe."""
    same = ("recipe", "dataset", "model", "seed", "pretrained")
    plain = make_config(**{name: getattr(config, name) for name in same})
    departures = [
        f"{name} {getattr(config, name)}"
        for name, value in plain.to_dict().items()
        if getattr(config, name) != value
    ]
    return ", ".join([f"`{config.model}`", config.recipe, *departures])


def interval_text(difference: Difference | None, *, scale: float = 1, digits: int = 3) -> str:
    """Write a difference with its interval: "+0.004 (-0.021 to +0.029)"."""
    if difference is None:
        return ""
    values = (difference.value, difference.low, difference.high)
    if None in values:
        return signed(scale * difference.value, digits=digits)
    value, low, high = (signed(scale * v, digits=digits) for v in values)
    return f"{value} ({low} to {high})"


def signed(value: float, *, digits: int = 3) -> str:
    """Write a difference with its sign; what rounds to zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def sentence(compared: Compared) -> str:
    """Say in one sentence what a comparison shows; the numbers are A less B."""
    title, auc, verdict = compared.pair.title, compared.auc, compared.verdict
    if auc is None:
        return f"{title}: {verdict}."
    if auc.low is None:
        return f"{title} changes AUC by {signed(auc.value)}: {verdict}, nothing varies."
    if auc.low == auc.high:
        return f"{title} leaves the AUC of each seed as it is: {verdict}."
    seeds = f"{auc.n_seeds} seed{'s' if auc.n_seeds > 1 else ''}"
    found = f"{title} changes AUC by {signed(auc.value)} ({signed(auc.low)} to {signed(auc.high)})"
    if verdict == TOO_FEW_SEEDS:
        return f"{found}: {verdict} for a verdict ({auc.n_seeds})."
    if verdict != NO_DIFFERENCE:
        shown = "a gain" if verdict == A_BETTER else "a loss"
        return f"{found}: {shown} is shown ({seeds}, {p_text(compared.p_auc)} after correction)."
    if auc.low > 0 or auc.high < 0:
        verdict = f"{verdict} once corrected for {compared.family_size} comparisons"
    bound = excluded_effect(auc)
    return f"{found}: {verdict}; a change of more than {bound:.2f} either way is excluded."


def excluded_effect(difference: Difference) -> float:
    """Return the smallest size, in whole hundredths, that the 95 % interval excludes both ways."""
    # The hair keeps an end that is a whole hundredth from being rounded up to the next.
    return math.ceil(100 * max(-difference.low, difference.high) - 1e-9) / 100


def p_text(p_value: float | None) -> str:
    """Write a p value: "p = 0.012", "p < 0.001"."""
    if p_value is None:
        return "no p"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def gain_sentence(compared: Compared) -> str:
    """Say in one sentence what became of the printed gains; "" if there are none or no runs."""
    gains = judge_gains(compared)
    if not gains or compared.verdict == NOT_RUN:
        return ""
    units = {"points": " points", "fraction": ""}
    said = [
        f"{GAINS[g.metric]} +{g.published.printed}{units[g.published.unit]}, {g.verdict}"
        for g in gains
    ]
    return f"Printed gains: {'; '.join(said)}."
