"""Paper B's sentences on its streams and pathways: what follows from its equations, built."""

from collections.abc import Mapping

from study.claims.check import checks
from study.claims.ledger import Claim
from study.claims.outcome import OPEN_CHOICE, Outcome, verdict_of_readings
from study.claims.paper_b import counting
from study.claims.paper_b.sizes import COUNTED

# A stream leaves out what it holds less than this share of, of its power: a filter's usual edge.
EDGE = 0.5


def _streams(claim: Claim) -> dict[str, Mapping]:
    return {"shares": counting.stream_shares(round(claim.value("channels").value))}


@checks("B143", measured=_streams)
def splits(*, shares: Mapping[str, tuple[float, float]]) -> Outcome:
    """Judge "divides the features into a high-frequency and a low-frequency stream".

    Equation 1 takes the low stream from the map and calls the rest high; what the low one is hangs
    on weights that are learnt. Rule: the streams are split where the high one holds less than half
    of a constant map's power and the low one less than half of the fastest wave's. "Reproduced"
    where that is so with all weights that are tried, "not reproduced" where with none, else
    "underspecified": the equations allow both, and the learnt weights are not public.

    `shares`: weights and map -> these two shares.
    """
    split = {name: max(both) < EDGE for name, both in shares.items()}
    listed = "; ".join(
        f"{name}: {100 * constant:.0f} and {100 * wave:.0f} %"
        for name, (constant, wave) in shares.items()
    )
    return Outcome(
        verdict=verdict_of_readings(split.values()),
        evidence="SpectralFlow as the text builds it; share of a constant map's power in the high "
        f"stream, and of the fastest wave's in the low one: {listed}. What Eq. 1 calls high keeps "
        "all that the reduced channels cannot give back, the mean too; whether the low stream is "
        "slow hangs on the learnt weights of a patch, which are not public.",
        limits=(OPEN_CHOICE,),
        runs=(COUNTED,),
    )


@checks("B144", measured=lambda claim: {"waits": counting.waiting()})
def parallel(*, waits: Mapping[str, bool]) -> Outcome:
    """Judge "in parallel, without sequential dependencies".

    Rule: by what of the network is meant, built from the text. "Reproduced" where no part needs
    another's result, "not reproduced" where each does, else "underspecified".

    `waits`: two parts -> whether one needs what the other gives.
    """
    free, bound = ([name for name, needs in waits.items() if needs is so] for so in (False, True))
    return Outcome(
        verdict=verdict_of_readings(not needs for needs in waits.values()),
        evidence=f"Independent: {', '.join(free) or 'none'}. One needs the other's result: "
        f"{', '.join(bound) or 'none'}. Section 3.1 says it of the first pair; section 4.4.2 puts "
        "the second SpectralFlow after ContextGate, and Eq. 1 subtracts the low stream to get the "
        "high one.",
        limits=(OPEN_CHOICE,),
        runs=(COUNTED,),
    )
