"""Events: what happened to a run and is no move, kept for ever in its order; and the second agent of an expansion."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archive import Archive, ArchiveError, Decision, Outcome
from archive import engine as database

Decide = Callable[..., Decision]


@pytest.fixture
def archive(tmp_path: Path, url: str | None) -> Iterator[Archive]:
    with Archive.create(tmp_path / "run", url=url) as made:
        made.add_seed({"__main__.py": b""}, "shape-0")
        yield made


def test_events_are_kept_in_order_and_read_by_kind(archive: Archive, tmp_path: Path, url: str | None) -> None:
    before = datetime.now(UTC)
    first = archive.event("sealed-opened", {"agent": 7, "tasks": ["a", "b"]})
    second = archive.event("sealed-touched", {"agent": 0})
    third = archive.event("sealed-opened", {"agent": 8})
    assert [event.id for event in (first, second, third)] == [1, 2, 3]
    assert before <= first.at <= second.at <= third.at
    assert archive.events() == (first, second, third)
    assert archive.events("sealed-opened") == (first, third)
    assert archive.events("other") == ()
    archive.close()
    with Archive.open(tmp_path / "run", url=url) as reader:
        assert reader.events() == (first, second, third)
        assert reader.events()[0].facts == {"agent": 7, "tasks": ["a", "b"]}
        with pytest.raises(ArchiveError, match="open for reading only"):
            reader.event("sealed-opened", {})
    with Archive.open(tmp_path / "run", url=url, write=True) as again:
        assert again.event("sealed-opened", {}).id == 4


def test_any_text_can_be_in_an_event(archive: Archive) -> None:
    facts = {"task": "a\0b\ud800\u202e", "nothing": None}
    archive.event("x", facts)
    assert archive.events()[0].facts == facts


def test_an_expansion_may_name_a_peer(archive: Archive, decide: Decide, tmp_path: Path, url: str | None) -> None:
    born = archive.open_expansion(decide("expand", 0), entry="task:a", seed=1)
    archive.close_expansion(born.id, Outcome.BORN, reason="", files={"__main__.py": b"1"}, shape="shape-1")
    crossed = archive.open_expansion(decide("expand", 1), entry="task:b", seed=2, peer=0)
    assert (born.peer, crossed.peer) == (None, 0)
    with pytest.raises(ArchiveError, match="no agent 9"):
        archive.open_expansion(decide("expand", 1), entry="task:b", seed=2, peer=9)
    archive.close_expansion(crossed.id, Outcome.NO_CHANGE, reason="")
    archive.close()
    with Archive.open(tmp_path / "run", url=url) as reader:
        assert [row.peer for row in reader.history().expansions] == [None, 0]


def test_the_database_refuses_a_peer_that_is_not_there(tmp_path: Path, decide: Decide) -> None:
    """The reference that the migration adds to a table that is there already is one."""
    with Archive.create(tmp_path / "run") as archive:
        archive.add_seed({"__main__.py": b""}, "shape-0")
        archive.open_expansion(decide("expand", 0), entry="task:a", seed=1)
    connection = sqlite3.connect(tmp_path / "run" / database.FILE)
    connection.execute("PRAGMA foreign_keys=ON")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        connection.execute("UPDATE expansions SET peer = 5")
    connection.close()
