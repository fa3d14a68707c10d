"""Sentences that people act on, as data, and what the measured kernels say of each."""

from harness.claims.article import ARTICLE
from harness.claims.claim import Claim, Part, Standing, Subject
from harness.claims.finding import Decided, Finding, PartFinding
from harness.claims.queues_and_options import PARTICULARS
from harness.claims.serving import SERVING
from harness.claims.settle import settle
from harness.matrix.evidence import Evidence, Record, Witness

CLAIMS = (*ARTICLE, *SERVING, *PARTICULARS)
"""In the order in which they are shown: the article's, then those of software."""

__all__ = [
    "CLAIMS",
    "Claim",
    "Decided",
    "Evidence",
    "Finding",
    "Part",
    "PartFinding",
    "Record",
    "Standing",
    "Subject",
    "Witness",
    "settle",
]
