"""Who descends from whom, what was tried, and what came out: rows in SQL, code in git.

    with Archive.open(Path("runs/demo")) as archive:
        history = archive.history()
        clades(history.agents, history.evaluations)[0].whole.mean

`Archive` is the only writer. Records are frozen, and all statistics are pure functions of them.
"""

from archive.cache import EvaluationCache, Remembered
from archive.clade import Clade, Tally, best_belief, chosen, clades, probability_better, ranking, tallies
from archive.errors import ArchiveError
from archive.history import History
from archive.lineage import dot, graphml, json_text, lineage, newick, node_link
from archive.lock import holder
from archive.paths import check_path
from archive.records import (
    EVALUATION_OUTCOMES,
    EXPANSION_OUTCOMES,
    INTERRUPTED,
    Agent,
    Bill,
    Call,
    Decision,
    Evaluation,
    Event,
    Expansion,
    Outcome,
)
from archive.store import Archive
from archive.text import visible

__all__ = [
    "EVALUATION_OUTCOMES",
    "EXPANSION_OUTCOMES",
    "INTERRUPTED",
    "Agent",
    "Archive",
    "ArchiveError",
    "Bill",
    "Call",
    "Clade",
    "Decision",
    "Evaluation",
    "EvaluationCache",
    "Event",
    "Expansion",
    "History",
    "Outcome",
    "Remembered",
    "Tally",
    "best_belief",
    "check_path",
    "chosen",
    "clades",
    "dot",
    "graphml",
    "holder",
    "json_text",
    "lineage",
    "newick",
    "node_link",
    "probability_better",
    "ranking",
    "tallies",
    "visible",
]
