"""The conformance suite: what an archive promises, on every database it may be kept in."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive import (
    EVALUATION_OUTCOMES,
    EXPANSION_OUTCOMES,
    INTERRUPTED,
    Archive,
    ArchiveError,
    Bill,
    Call,
    Decision,
    Expansion,
    History,
    Outcome,
    holder,
)

Decide = Callable[..., Decision]

SEED = {"__main__.py": b"print('seed')\n", "data.bin": b"\0\xff"}
CALL = Call("solve", "offline:repair", 100, 20, 30, 0.1, 1.5, 1, "ok")


@pytest.fixture
def archive(tmp_path: Path, url: str | None) -> Iterator[Archive]:
    with Archive.create(tmp_path / "run", url=url, about={"name": "demo"}) as made:
        made.add_seed(SEED, "shape-0")
        yield made


def reopened(archive: Archive, url: str | None) -> Archive:
    archive.close()
    return Archive.open(archive.folder, write=True, url=url)


def measure(archive: Archive, decide: Decide, agent: int = 0, task: str = "t1") -> int:
    return archive.open_evaluation(
        decide("evaluate", agent, task), agent=agent, benchmark="repair", split="search", task=task, attempt=0, seed=5
    ).id


def birth(archive: Archive, decide: Decide, parent: int = 0, text: bytes = b"child") -> Expansion:
    row = archive.open_expansion(decide("expand", parent), entry="task:t1", seed=2**62)
    return archive.close_expansion(
        row.id, Outcome.BORN, reason="it lives", issue="mend it", seconds=3.5, calls=[CALL, CALL],
        files={**SEED, "new.py": text}, shape="shape",
    )  # fmt: skip


def test_everything_written_is_read_back_by_a_writer_and_a_reader(
    archive: Archive, decide: Decide, url: str | None
) -> None:
    born = birth(archive, decide)
    evaluation = archive.close_evaluation(
        measure(archive, decide, agent=1),
        Outcome.RESOLVED,
        reason="all tests pass",
        seconds=9.25,
        steps=4,
        calls=[CALL],
    )
    still_open = measure(archive, decide)
    history = archive.history()
    assert [agent.id for agent in history.agents] == [0, 1]
    assert history.agents[1].parent == 0
    assert history.expansions == (born,)
    assert born.child == 1
    assert born.bill == Bill(2, 200, 40, 60, 0.2)
    assert evaluation.bill == Bill(1, 100, 20, 30, 0.1)
    assert history.evaluations[0] == evaluation
    assert history.evaluations[1].id == still_open
    assert history.evaluations[1].outcome is None
    assert history.evaluations[1].opened.utcoffset() == timedelta(0)
    assert history.spent() == archive.spent() == Bill(3, 300, 60, 90, 0.30000000000000004)
    with Archive.open(archive.folder, url=url) as reader:
        assert reader.history() == history
        assert reader.calls() == (CALL, CALL, CALL)
        assert reader.calls("expansion", born.id) == (CALL, CALL)
        assert reader.calls("evaluation") == (CALL,)
        assert reader.calls("evaluation", 2) == ()
        assert [decision.move for decision in reader.decisions()] == ["expand", "evaluate", "evaluate"]
        assert reader.decisions()[0].at == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        assert reader.files(1) == {**SEED, "new.py": b"child"}
        assert "+child" in reader.diff(0, 1)
    again = reopened(archive, url)
    assert again.history() == history
    again.close()


def test_what_is_asked_of_one_agent_is_what_all_rows_say(archive: Archive, decide: Decide, url: str | None) -> None:
    def check(writer: Archive) -> None:
        history = writer.history()
        with Archive.open(archive.folder, url=url) as reader:
            for asked in (writer, reader):
                assert asked.shapes() == {"shape-0", "shape"}
                assert (asked.twin("shape-0"), asked.twin("shape"), asked.twin("new")) == (0, 1, None)
                assert [asked.agent(agent.id) for agent in history.agents] == list(history.agents)
                for agent in (0, 1, 2, 3):
                    rows = tuple(row for row in history.evaluations if row.agent == agent)
                    assert asked.evaluations_of(agent) == history.evaluations_of(agent) == rows
                with pytest.raises(ArchiveError, match="no agent 3; the archive has 3"):
                    asked.agent(3)

    first = measure(archive, decide)
    birth(archive, decide)
    birth(archive, decide, parent=1, text=b"another text of the same shape")
    second = measure(archive, decide, agent=2)
    measure(archive, decide, agent=2, task="t2")
    check(archive)
    archive.close_evaluation(second, Outcome.UNRESOLVED, reason="no")
    archive.close_evaluation(first, Outcome.VOID, reason="the engine died")
    check(archive)
    again = reopened(archive, url)
    again.void_open()
    check(again)
    assert [row.id for row in again.evaluations_of(2)] == [2, 3]
    again.close()


def test_notes_are_kept_and_replaced(archive: Archive, url: str | None) -> None:
    archive.note("name", "other")
    archive.note("settings", "a = 1\n\0\ud800")
    assert {"created", "name", "settings"} == set(archive.about)
    again = reopened(archive, url)
    assert again.about["name"] == "other"
    assert again.about["settings"] == "a = 1\n\ufffd\ufffd"
    again.close()


def test_the_seed_comes_once_and_first(tmp_path: Path, url: str | None, decide: Decide) -> None:
    with Archive.create(tmp_path / "run", url=url) as archive:
        with pytest.raises(ArchiveError, match="no agent 0"):
            archive.open_expansion(decide("expand", 0), entry="task:t", seed=0)
        seed = archive.add_seed(SEED, "shape")
        assert (seed.id, seed.parent) == (0, None)
        assert archive.files(0) == SEED
        with pytest.raises(ArchiveError, match="its seed already"):
            archive.add_seed(SEED, "shape")


@pytest.mark.parametrize("outcome", sorted(EXPANSION_OUTCOMES - {Outcome.BORN, Outcome.DUPLICATE}))
def test_an_expansion_without_a_child(archive: Archive, decide: Decide, outcome: Outcome) -> None:
    row = archive.open_expansion(decide("expand", 0), entry="weakness:empty", seed=1)
    closed = archive.close_expansion(row.id, outcome, reason="so it went")
    assert (closed.outcome, closed.child) == (outcome, None)
    assert len(archive.history().agents) == 1


@pytest.mark.parametrize("outcome", sorted(EVALUATION_OUTCOMES))
def test_an_evaluation_ends_in_each_of_its_outcomes(archive: Archive, decide: Decide, outcome: Outcome) -> None:
    closed = archive.close_evaluation(measure(archive, decide), outcome, reason="x")
    assert archive.history().evaluations == (closed,)
    assert closed.outcome is outcome


def test_a_duplicate_names_its_twin(archive: Archive, decide: Decide, url: str | None) -> None:
    birth(archive, decide)
    row = archive.open_expansion(decide("expand", 0), entry="task:t1", seed=1)
    with pytest.raises(ArchiveError, match="twin"):
        archive.close_expansion(row.id, Outcome.DUPLICATE, reason="same")
    with pytest.raises(ArchiveError, match="no agent 9"):
        archive.close_expansion(row.id, Outcome.DUPLICATE, reason="same", twin=9)
    assert archive.close_expansion(row.id, Outcome.DUPLICATE, reason="same as 1", twin=1).child == 1
    again = reopened(archive, url)
    assert again.history().expansions[-1].child == 1
    again.close()


def test_what_contradicts_the_rows_is_refused_and_changes_nothing(archive: Archive, decide: Decide) -> None:
    expansion = archive.open_expansion(decide("expand", 0), entry="task:t1", seed=1)
    evaluation = measure(archive, decide)
    before = archive.history()
    files = {"a.py": b""}
    with pytest.raises(ArchiveError, match="cannot end as RESOLVED"):
        archive.close_expansion(expansion.id, Outcome.RESOLVED, reason="x")
    with pytest.raises(ArchiveError, match="cannot end as BORN"):
        archive.close_evaluation(evaluation, Outcome.BORN, reason="x")
    with pytest.raises(ArchiveError, match="come with BORN"):
        archive.close_expansion(expansion.id, Outcome.BORN, reason="x")
    with pytest.raises(ArchiveError, match="come together"):
        archive.close_expansion(expansion.id, Outcome.BORN, reason="x", files=files)
    with pytest.raises(ArchiveError, match="come with BORN"):
        archive.close_expansion(expansion.id, Outcome.STILLBORN, reason="x", files=files, shape="s")
    with pytest.raises(ArchiveError, match="git, on some system"):
        archive.close_expansion(expansion.id, Outcome.BORN, reason="x", files={".git/config": b""}, shape="s")
    with pytest.raises(ArchiveError, match="no expansion 99"):
        archive.close_expansion(99, Outcome.VOID, reason="x")
    with pytest.raises(ArchiveError, match="not to expand"):
        archive.open_expansion(decide("evaluate", 0, "t"), entry="task:t", seed=0)
    with pytest.raises(ArchiveError, match="not to evaluate agent 0 on 'other'"):
        archive.open_evaluation(
            decide("evaluate", 0, "t"), agent=0, benchmark="b", split="search", task="other", attempt=0, seed=0
        )
    with pytest.raises(ArchiveError, match="64 signed bits"):
        archive.open_expansion(decide("expand", 0), entry="task:t", seed=2**63)
    assert archive.history() == before
    archive.close_evaluation(evaluation, Outcome.VOID, reason="x")
    with pytest.raises(ArchiveError, match="closed as VOID"):
        archive.close_evaluation(evaluation, Outcome.RESOLVED, reason="x")


def test_an_interrupted_decision_is_taken_again_under_its_number(
    archive: Archive, decide: Decide, url: str | None
) -> None:
    first = decide("expand", 0)
    archive.open_expansion(first, entry="task:t1", seed=1)
    with pytest.raises(ArchiveError, match="being carried out"):
        archive.open_expansion(first, entry="task:t1", seed=1)
    again = reopened(archive, url)
    assert again.void_open() == 1
    assert again.void_open() == 0
    assert again.history().expansions[0].reason == INTERRUPTED
    retaken = again.open_expansion(replace(first, evidence='{"again": 1}'), entry="task:t1", seed=1)
    assert retaken.id == 2
    assert [decision.evidence for decision in again.decisions()] == ['{"again": 1}']
    again.close_expansion(2, Outcome.NO_CHANGE, reason="x")
    with pytest.raises(ArchiveError, match="or was already"):
        again.open_expansion(first, entry="task:t1", seed=1)
    again.close()


def test_an_evaluation_that_a_person_asked_for_has_no_decision(archive: Archive) -> None:
    row = archive.open_evaluation(None, agent=0, benchmark="b", split="validation", task="t", attempt=0, seed=0)
    assert row.decision is None
    assert archive.decisions() == ()


def test_text_that_databases_refuse_is_stored_readably(archive: Archive, decide: Decide, url: str | None) -> None:
    row = archive.open_expansion(decide("expand", 0), entry="task:\0x", seed=1)
    closed = archive.close_expansion(row.id, Outcome.CRASHED, reason="\x1b[31m\ud83d\0", issue="a\udcffb😀")
    assert closed.reason == "\x1b[31m\ufffd\ufffd"
    assert closed.issue == "a\ufffdb😀"
    again = reopened(archive, url)
    assert again.history().expansions == (closed,)
    again.close()


def test_a_second_writer_is_refused_by_name_and_readers_are_not(archive: Archive, url: str | None) -> None:
    with pytest.raises(ArchiveError, match=r"being written by process \d+ on "):
        Archive.open(archive.folder, write=True, url=url)
    assert holder(archive.folder) is not None
    Archive.open(archive.folder, url=url).close()
    archive.close()
    archive.close()
    assert holder(archive.folder) is None
    Archive.open(archive.folder, write=True, url=url).close()


def test_one_database_has_one_writer_whatever_the_folder(archive: Archive, url: str | None, tmp_path: Path) -> None:
    if url is None:
        pytest.skip("a run folder's own SQLite file is covered by the folder's lock")
    shutil.copytree(archive.folder, tmp_path / "copy")
    with pytest.raises(ArchiveError, match="being written by another process"):
        Archive.open(tmp_path / "copy", write=True, url=url)
    archive.close()
    Archive.open(tmp_path / "copy", write=True, url=url).close()


def test_a_reader_cannot_write(archive: Archive, decide: Decide, url: str | None) -> None:
    with Archive.open(archive.folder, url=url) as reader:
        for write in (
            lambda: reader.note("a", "b"),
            lambda: reader.add_seed(SEED, "s"),
            lambda: reader.open_expansion(decide("expand", 0), entry="task:t", seed=0),
        ):
            with pytest.raises(ArchiveError, match="reading only"):
                write()
        assert reader.void_open() == 0


def test_log_folders_are_made_for_the_writer(archive: Archive, decide: Decide, url: str | None) -> None:
    row = archive.open_expansion(decide("expand", 0), entry="task:t", seed=0)
    evaluation = archive.history().evaluations
    assert evaluation == ()
    with Archive.open(archive.folder, url=url) as reader:
        assert not reader.folder_of(row).exists()
    assert archive.folder_of(row) == archive.folder / "logs" / "expansion-1"
    assert archive.folder_of(row).is_dir()


def test_creating_over_an_archive_is_refused(archive: Archive, url: str | None, tmp_path: Path) -> None:
    archive.close()
    with pytest.raises(ArchiveError, match="already"):
        Archive.create(archive.folder, url=url)
    if url is not None:
        with pytest.raises(ArchiveError, match="already"):
            Archive.create(tmp_path / "elsewhere", url=url)
        with pytest.raises(ArchiveError, match="already"):
            Archive.create(archive.folder)


def test_readers_see_whole_transactions_while_the_writer_writes(
    archive: Archive, decide: Decide, url: str | None
) -> None:
    faults: list[str] = []
    done = threading.Event()

    def read() -> None:
        with Archive.open(archive.folder, url=url) as reader:
            while not done.is_set():
                history = reader.history()
                born = [row.child for row in history.expansions if row.outcome is Outcome.BORN]
                if born != [agent.id for agent in history.agents if agent.parent is not None]:
                    faults.append(f"{born} {history.agents}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(25):
        birth(archive, decide, parent=number, text=str(number).encode())
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert archive.history().agents[-1].parent == 24


def test_git_shows_the_family_tree(archive: Archive, decide: Decide) -> None:
    birth(archive, decide, parent=0, text=b"1")
    birth(archive, decide, parent=1, text=b"2")
    birth(archive, decide, parent=0, text=b"3")
    log = subprocess.run(
        ["git", "-C", str(archive.folder / "agents.git"), "log", "--all", "--format=%s|%p"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert sorted(line.split("|")[0] for line in log.splitlines()) == [
        "agent 0", "agent 1, child of 0", "agent 2, child of 1", "agent 3, child of 0",
    ]  # fmt: skip


def test_a_branch_lost_between_row_and_git_is_made_again(archive: Archive, decide: Decide, url: str | None) -> None:
    birth(archive, decide)
    branch = archive.folder / "agents.git" / "refs" / "heads" / "agent-1"
    commit = branch.read_text()
    branch.unlink()
    reopened(archive, url).close()
    assert branch.read_text() == commit


def test_history_is_a_value(archive: Archive, decide: Decide) -> None:
    before = archive.history()
    assert before is archive.history()
    birth(archive, decide)
    assert before == History(before.agents, (), ())
    assert len(archive.history().agents) == 2
