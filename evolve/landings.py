"""What came of a move, in the terms that a cassette keeps and that a replay is held to."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from archive import Archive, Evaluation, Expansion, Outcome
from evolve.jobs import Record
from evolve.llm import Cassette, Landing


def landing_of(record: Record) -> Landing:
    """Of a move that has just ended; `record` as its row will say it, twins considered."""
    born = record.outcome is Outcome.BORN and record.child is not None
    return Landing(str(record.outcome), record.reason, code(record.child or {}) if born else "")


def landing_in(archive: Archive, row: Evaluation | Expansion) -> Landing:
    """Of a closed row."""
    born = isinstance(row, Expansion) and row.outcome is Outcome.BORN and row.child is not None
    child = code(archive.files(row.child)) if isinstance(row, Expansion) and born and row.child is not None else ""
    return Landing(str(row.outcome), row.reason, child)


def code(files: Mapping[str, bytes]) -> str:
    """Hash of an agent's files: equal for equal bytes."""
    digest = blake2b(digest_size=16)
    for path in sorted(files):
        for part in (path.encode("utf-8", "surrogateescape"), files[path]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def departure(cassette: Cassette, key: str, record: Record) -> str | None:
    """In a replay: how a move ended otherwise than it was recorded, and what to do; None if it did not.

    A strict replay ends here, before the move counts. Another one goes on, and what came now is what is recorded.
    """
    if cassette.record_of(key) is not None:  # it was taken over
        return None
    told = cassette.departure(key, landing_of(record))
    if told is None:
        return None
    if cassette.mode == "replay":
        cassette.miss(f"{told}. {cure(record)}")
    elif record.repeatable:
        cassette.amend(key, landing_of(record))
    return told


def cure(record: Record) -> str:
    """What to do about a move that a strict replay does not accept."""
    if not record.repeatable:
        cause = "Mend that (a slower machine may need larger limits in [rollout])"
    else:
        cause = "A test or an agent does not do the same each time"
    return f"{cause}. Run again to make it once more, or with --replay-or-call to go on with what comes"
