"""The ledger in a terminal: `python -m study claims [B03 ...]`."""

import argparse
from collections.abc import Sequence

from helpers.terminal import escape_unshowable
from study.claims.judge import judge_claims
from study.claims.ledger import load_claims


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each claim's verdict and what it rests on, of all claims or of those named."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog="python -m study claims", description=main.__doc__)
    parser.add_argument("ids", nargs="*", help="claims, for instance B03; by default all")
    wanted = parser.parse_args(arguments).ids
    known = {claim.id for claim in load_claims()}
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"no claim {', '.join(unknown)}; they run from {min(known)} to {max(known)}")
    for item in judge_claims(wanted):
        print(f"{item.claim.id}: {item.state}. {item.claim.claim}\n    {item.evidence}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
