"""The meta-loop: choose a move, write its open row, let a worker perform it, close the row; until a stop rule holds.

The main thread alone chooses and writes. Moves are asynchronous: no worker idles while a move is allowed. A run that is
killed at any point is continued by running it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from archive import Archive, ArchiveError, Evaluation, Expansion, Outcome
from benchmarks import Benchmark
from evolve.board import board_of
from evolve.jobs import Job, Record
from evolve.landings import landing_in, landing_of
from evolve.llm import Cassette, Outage, redact
from evolve.openings import Known, Openings
from evolve.outages import Outages
from evolve.packed import packed
from evolve.policies import Move, View
from evolve.remembered import Memory, done_already
from evolve.rows import Row, has_ended, key_of, what_of
from evolve.seeds import generator
from evolve.settings import Settings
from evolve.state import (
    OUTAGE,
    Spent,
    Stop,
    closing,
    left_out,
    moves_of,
    opening,
    shut,
    spent_reason,
    stop_reason,
)
from evolve.supply import Supply

POLL_SECONDS = 0.2
"""How often the loop looks whether it was asked to stop."""
VOID_PAUSE_SECONDS = 2.0
"""After a house's fault the next move waits this long, doubled with each further one in a row…"""
MAX_PAUSE_SECONDS = 120.0


class Listener(Protocol):
    """Who is told what happens: the live view, the plain log."""

    def opened(self, row: Row) -> None: ...

    def closed(self, row: Row) -> None: ...

    def tick(self, view: View) -> None: ...

    def say(self, text: str) -> None: ...

    def paused(self, outages: tuple[Outage, ...]) -> None:
        """No move starts while these services are out; told again and again, and once with none when it goes on."""
        ...


ASKED = Stop("asked to stop", finished=False)
DONE = Stop("the policy has no further move: every agent is measured on every task", finished=True)


class Evolution:
    """One session of a run: from its start (or resumption) to its end."""

    def __init__(
        self,
        archive: Archive,
        settings: Settings,
        benchmark: Benchmark,
        executor: Executor,
        perform: Callable[[Job], Record],
        supply: Supply,
        listener: Listener,
        memory: Memory | None = None,
        cassette: Cassette | None = None,
    ) -> None:
        """`memory` tells what other runs measured; `cassette` records the order of the moves, or says it."""
        self.archive = archive
        self.settings = settings
        self.benchmark = benchmark
        self.tasks = benchmark.tasks("search")
        self.executor = executor
        self.perform = perform
        self.supply = supply
        self.cassette = cassette
        self.memory = memory
        self.listener = listener
        self.stopping = False
        self._flying: dict[Future[Record], Row] = {}
        self._start = datetime.now(UTC)
        self._clock = time.monotonic()
        self._hours_before = float(archive.about.get("hours", 0.0))
        self._voids = 0
        self._left_out = set(left_out(archive.history()))
        self._left_out_may_change = False
        self._void_lately = False
        """Whether the last move that landed in this session was VOID: only then may there be too many in a row."""
        self._board = board_of(archive.history(), self.tasks, settings)
        self._openings = Openings(archive, settings, benchmark)
        self._rest_until = 0.0
        self._outages = Outages()

    def stop(self) -> None:
        """Start no further moves; finish what is running. Safe to call from a signal handler."""
        self.stopping = True

    def run(self) -> Stop:
        """Go on until a stop rule holds. An exception in a worker is the house's fault and ends as a VOID row."""
        if self.cassette is not None:
            self._open_cassette(self.cassette)
        while True:
            self._look_at_the_services()
            stop = self._fill()
            if stop is not None and not self._flying:
                self._note_spending()
                if self.cassette is not None:
                    self.cassette.ended(stop.reason, finished=stop.finished)
                return stop
            if awaited := self._awaited():
                done, _ = wait(awaited, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            else:  # resting after a house's fault
                time.sleep(POLL_SECONDS)
                done = set()
            for future in done:
                self._land(self._flying.pop(future), future)
            self.listener.tick(self.view())

    @property
    def hours(self) -> float:
        """Working time of the run so far, earlier sessions included; time in which a service was out is none."""
        return self._hours_before + (time.monotonic() - self._clock - self._outages.seconds) / 3600

    def view(self) -> View:
        return self._board.view()

    def known(self) -> Known:
        """What moves are made from."""
        return self.archive

    def _open_cassette(self, cassette: Cassette) -> None:
        """See that the cassette and the archive tell of the same run. Raises: `ModelError`."""
        rows = moves_of(self.archive.history())
        told = [(key_of(row), what_of(row), row.decision) for row in rows]
        ended = {key_of(row): landing_in(self.archive, row) for row in rows if has_ended(row)}
        cassette.go_on([(key, what, number) for key, what, number in told if number is not None], ended)

    def _look_at_the_services(self) -> None:
        """Stop the clock while one is out, remember whom that concerns, and show it."""
        outages = self.supply.outages()
        if self._outages.seen(outages, map(key_of, self._flying.values())):
            self.listener.paused(outages)

    def _fill(self) -> Stop | None:
        """Give every free worker a move; why not, if one stays free for good."""
        while len(self._flying) < self._workers:
            if self.stopping:
                return ASKED
            if (refusal := self.supply.refusal()) is not None:
                return Stop(f"{refusal}. Mend that and run again; nothing is lost", finished=False)
            view = self.view()
            stop = self._stop(view)
            if stop is not None:
                return stop
            if self.supply.outages() or time.monotonic() < self._rest_until:
                return None
            if self._flying and self.supply.crowded():
                return None
            number = self._board.next_decision
            move = self.settings.policy.choose(view, generator(self.settings.seed, "decision", number))
            if move is None:
                return None if self._flying else DONE
            self._launch(move, number, view)
        return None

    @property
    def _workers(self) -> int:
        """Moves that may be under way now."""
        capacity = self.supply.capacity()
        return self.settings.workers if capacity is None else max(1, min(self.settings.workers, capacity))

    def _awaited(self) -> list[Future[Record]]:
        """The moves under way whose rows may be closed next."""
        return list(self._flying)

    def _stop(self, view: View) -> Stop | None:
        bill, no_room = self.supply.spent(), self.supply.no_room()
        spent = Spent(bill.usd, bill.input_tokens + bill.output_tokens, self.hours, no_room)
        if self._void_lately or view.failed_in_a_row >= self.settings.budget.failures_in_a_row:
            return stop_reason(self.archive.history(), view, self.settings, spent, start=self._start)
        return spent_reason(view, self.settings, spent)

    def _launch(self, move: Move, number: int, view: View) -> None:
        row, job = self._openings.open(move, number, view, self.known())
        self._board.seen(opening(row, self._board.column))
        self.listener.opened(row)
        self._flying[self._begin(row, job)] = row

    def _begin(self, row: Row, job: Job) -> Future[Record]:
        """Hand a move to the workers."""
        if self.cassette is not None:
            self.cassette.launched(key_of(row), what_of(row), row.decision)
        return self._remembered(row) or self.executor.submit(self.perform, job)

    def _remembered(self, row: Row) -> Future[Record] | None:
        """A move that is over already, because the same was measured before."""
        if self.memory is None or isinstance(row, Expansion):
            return None
        try:
            record = self.memory.find(self.archive.agent(row.agent), row)
        except ArchiveError as error:
            self._forget(error)
            return None
        return None if record is None else done_already(record)

    def _forget(self, error: ArchiveError) -> None:
        """A cache that fails costs a run its savings, not its life."""
        self.memory = None
        self.listener.say(f"the evaluation cache is not used any more in this session: {error}")

    def _land(self, row: Row, future: Future[Record]) -> None:
        """Close a move's row with what came of it."""
        record = self._concluded(row, self._outages.explained(key_of(row), record_of(future)))
        self._rest_after(record)
        keep(self.archive, row, record.files)
        if self.cassette is not None and not record.repeatable:
            self.cassette.keep_record(key_of(row), packed(record))
        closed = (
            self._close_expansion(row, record) if isinstance(row, Expansion) else self._close_evaluation(row, record)
        )
        if self.cassette is not None:
            self.cassette.landed(key_of(row), landing_of(record))
        self._note_spending()
        self._take_in(closed)
        self.listener.closed(closed)
        self._announce_quarantine()

    def _concluded(self, row: Row, record: Record) -> Record:
        """What came of a move, as its row will say it: others were born while a child was being written."""
        if isinstance(row, Evaluation) or record.outcome not in (Outcome.BORN, Outcome.DUPLICATE):
            return record
        twin = self._twin(record)
        if twin is None:
            return replace(record, outcome=Outcome.BORN)
        return replace(record, outcome=Outcome.DUPLICATE, reason=f"the same code as agent {twin}")

    def _twin(self, record: Record) -> int | None:
        """The agent that has the code of a child already."""
        return None if record.shape is None else self.archive.twin(record.shape)

    def _announce_quarantine(self) -> None:
        """Say which tasks are left alone from now on, or are tried again; never in silence."""
        if not self._left_out_may_change:
            return
        found = left_out(self.archive.history())
        for task in sorted(found.keys() - self._left_out):
            self.listener.say(f"task {task} is quarantined for this run: {found[task]}")
        self._left_out = set(found)
        self._board.leave_alone(shut(found, self._board.tasks, self.tasks))

    def _take_in(self, row: Row) -> None:
        """Tell the board how a move ended."""
        self._void_lately = row.outcome is Outcome.VOID
        again = isinstance(row, Evaluation) and row.task in self._left_out
        self._left_out_may_change = self._void_lately or again
        if self._void_lately and row.reason.startswith(OUTAGE):
            self._recount()
        else:
            self._board.seen(closing(row, self._board.column))

    def _recount(self) -> None:
        """Make the board anew from the rows: after moves that leave no trace, not even that they were begun."""
        self._board = board_of(self.archive.history(), self.tasks, self.settings)

    def _close_evaluation(self, row: Evaluation, record: Record) -> Row:
        if self.memory is not None:
            try:
                self.memory.keep(self.archive.agent(row.agent), row, record)
            except ArchiveError as error:
                self._forget(error)
        return self.archive.close_evaluation(
            row.id,
            record.outcome,
            reason=record.reason,
            seconds=record.seconds,
            steps=record.steps,
            calls=record.calls,
            source=record.source,
        )

    def _close_expansion(self, row: Expansion, record: Record) -> Row:
        born = record.outcome is Outcome.BORN
        return self.archive.close_expansion(
            row.id,
            record.outcome,
            reason=record.reason,
            issue=record.issue,
            seconds=record.seconds,
            calls=record.calls,
            files=record.child if born else None,
            shape=record.shape if born else None,
            twin=self._twin(record) if record.outcome is Outcome.DUPLICATE else None,
        )

    def _note_spending(self) -> None:
        """What no row says: working time, and money by the ledger."""
        self.archive.note("hours", repr(self.hours))
        self.archive.note("spent_usd", repr(self.supply.spent().usd))

    def _rest_after(self, record: Record) -> None:
        """Back off after house's faults in a row, so that a dead engine is not asked a thousand times."""
        if record.reason.startswith(OUTAGE):
            return  # no move starts before the service is back: that is rest enough
        self._voids = self._voids + 1 if record.outcome is Outcome.VOID else 0
        if self._voids:
            self._rest_until = time.monotonic() + min(MAX_PAUSE_SECONDS, VOID_PAUSE_SECONDS * 2 ** (self._voids - 1))


def record_of(future: Future[Record]) -> Record:
    """What came of a job; an exception in its worker is a fault of ours, so it is VOID."""
    error = future.exception()
    if error is None:
        return future.result()
    return Record(Outcome.VOID, redact(f"a fault in Clade itself: {type(error).__name__}: {error}"), 0.0)


def keep(archive: Archive, row: Row, files: Mapping[str, bytes]) -> None:
    """Write a move's papers into its log folder, before its row is closed: a closed row has its evidence."""
    folder = archive.folder_of(row)
    for name, content in files.items():
        (folder / name).write_bytes(content)
