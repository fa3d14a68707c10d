"""Claims that people act on, as data, and how measured kernels settle each of them."""

from harness.claims.article import ARTICLE
from harness.claims.claim import Claim, Part, Standing, Subject
from harness.claims.finding import Decided, Finding, PartFinding
from harness.claims.more_sockets import MORE_SOCKETS
from harness.claims.queues_and_options import PARTICULARS
from harness.claims.serving import SERVING
from harness.claims.settle import settle
from harness.matrix.evidence import Evidence, Record, Witness

CLAIMS = (*ARTICLE, *SERVING, *PARTICULARS, *MORE_SOCKETS)
"""In display order: the article's claims, then those of software."""

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
