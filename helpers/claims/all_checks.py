"""The checks of both papers' claims in one table."""

from helpers.claims import paper_a, paper_b
from helpers.claims.checks import joined

CHECKS = joined(paper_a.CHECKS, paper_b.CHECKS)
