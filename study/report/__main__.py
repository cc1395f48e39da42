"""Command line of the report."""

import argparse
from collections.abc import Sequence

from helpers.config import PROFILES
from helpers.paths import repo_root, results_root
from helpers.terminal import escape_unshowable
from study import report


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    escape_unshowable()
    parser = argparse.ArgumentParser(prog=report.COMMAND, description=report.__doc__.split("\n")[0])
    parser.add_argument("--profile", choices=PROFILES, default="paper")
    options = parser.parse_args(arguments)
    # The notebooks of the repository speak of its own results of the paper profile, of no others.
    own = options.profile == "paper" and results_root() == repo_root() / "results"
    committed = repo_root() / "notebooks" if own else None
    print(f"Report: {report.build_report(options.profile, committed=committed)}")


if __name__ == "__main__":
    main()
