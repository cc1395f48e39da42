"""A comparison in one sentence, for the evidence of claims, and the numbers in it as text."""

from helpers.config import RunConfig, make_config
from study.compare import Compared
from study.plans.verdicts import load_rules
from study.table import number, p_value


def protocol_text(config: RunConfig) -> str:
    """Write a protocol: model, recipe, and what departs from the recipe."""
    same = ("recipe", "dataset", "model", "seed", "pretrained")
    plain = make_config(**{name: getattr(config, name) for name in same})
    departures = [
        f"{name} {getattr(config, name)}"
        for name, value in plain.to_dict().items()
        if getattr(config, name) != value
    ]
    return ", ".join([config.model, config.recipe, *departures])


def signed(value: float, *, digits: int = 3) -> str:
    """Write a difference with its sign; what rounds to zero has none."""
    return number(value, spec=f"+.{digits}f")


def sentence(compared: Compared) -> str:
    """Say in one sentence what a comparison shows; the numbers are A less B."""
    title, auc, verdict = compared.title, compared.auc, compared.verdict
    if auc is None:
        return f"{title}: {verdict}."
    if auc.low is None:
        return f"{title} changes AUC by {signed(auc.value)}: {verdict}, nothing varies."
    found = f"{title} changes AUC by {signed(auc.value)} ({signed(auc.low)} to {signed(auc.high)})"
    seeds = f"{auc.seeds} seed{'s' if auc.seeds > 1 else ''}"
    shown, p = compared.shown.get("auc"), compared.p.get("auc")
    if shown is None:
        return f"{found}: {verdict} ({seeds})."
    tested = f"{seeds}, {p_text(p)} after correction"
    if shown:
        what = "a gain" if shown > 0 else "a loss"
        return f"{found}: {what} ({tested}); {verdict}."
    return f"{found}: no difference told apart ({tested}{_power(compared)}); {verdict}."


def _power(compared: Compared) -> str:
    """Say how often runs like these would show the printed size, or the one that the rules fix."""
    if compared.chance is None:
        return ""
    printed, asked = compared.size, load_rules().size["auc"]
    size = f"a change of {asked}" if printed is None else f"the printed {signed(printed)}"
    return f"; power {100 * compared.chance:.0f} % for {size}"


def p_text(p: float | None) -> str:
    """Write a p value: "p = 0.012", "p < 0.001"."""
    if p is None:
        return "no p"
    written = p_value(p)
    return f"p {written}" if written[0] == "<" else f"p = {written}"
