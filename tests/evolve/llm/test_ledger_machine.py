"""The ledger against a plain model of it: reserve, settle, lose, reopen, let time pass, in any order."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from evolve.llm import Account, BudgetSpent, Caps, Ledger, ModelError, Usage
from evolve.llm.ledger import Reservation
from evolve.llm.spending import read_book
from evolve.llm.tallies import HOUR, Worst

MOVES = ("expansion-1", "evaluation-2")
CENTS = st.integers(0, 40).map(lambda cents: cents / 100)
"""Dollars that are sums of few digits: the model adds them in another order than the ledger."""
NEAR = 1e-9


@dataclass
class Known:
    """What the model knows of a call."""

    move: str
    worst: float
    settled: float | None = None
    at: float = 0.0

    @property
    def counts(self) -> float:
        return self.worst if self.settled is None else self.settled


class Machine(RuleBasedStateMachine):
    reservations = Bundle("reservations")

    @initialize(
        usd=st.none() | CENTS.map(lambda x: 4 * x),
        move=st.none() | CENTS.map(lambda x: 2 * x),
        hour=st.none() | CENTS.map(lambda x: 2 * x + 0.01),
        call=st.none() | CENTS,
    )
    def begin(self, usd: float | None, move: float | None, hour: float | None, call: float | None) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.jsonl"
        self.now = 1_700_000_000.0
        self.run, self.move = Caps(usd=usd, usd_per_hour=hour, usd_per_call=call), Caps(usd=move)
        self.calls: dict[int, Known] = {}
        self.lost = 0
        self.open()

    def open(self) -> None:
        self.ledger = Ledger(self.path, self.run, move=self.move, clock=lambda: self.now)
        self.accounts: dict[str, Account] = {each: self.ledger.account(each, move=each) for each in MOVES}

    @rule(target=reservations, move=st.sampled_from(MOVES), usd=CENTS)
    def reserve(self, move: str, usd: float) -> tuple[int, Reservation | None]:
        room = min(
            math.inf if self.run.usd is None else self.run.usd - self.used(),
            math.inf if self.move.usd is None else self.move.usd - self.used(move),
            math.inf if self.run.usd_per_hour is None else self.run.usd_per_hour - self.used_lately(),
        )
        try:
            made = self.accounts[move].reserve("solve", "a:b", Worst(10, 5, usd))
        except BudgetSpent as error:
            assert usd > room - NEAR
            assert error.whose in ("run", "move", "hour") and (error.seconds > 0) == (error.whose == "hour")
            return 0, None
        except ModelError as error:
            assert error.kind == "context_length"
            assert self.run.usd_per_call is not None and usd > self.run.usd_per_call
            return 0, None
        assert usd <= room + NEAR
        assert made.id not in self.calls
        self.calls[made.id] = Known(move, usd)
        return made.id, made

    @rule(pair=consumes(reservations), share=st.floats(0, 1) | st.none())
    def settle(self, pair: tuple[int, Reservation | None], share: float | None) -> None:
        id, made = pair
        if made is None or self.calls[id].settled is not None:  # refused, or lost with its process meanwhile
            return
        call = self.calls[id]
        usage = None if share is None else Usage(3, 0, 0, 2)
        usd = call.worst if share is None else call.worst * share
        self.accounts[call.move].settle(made, usage, usd, status="ok")
        call.settled, call.at = usd, self.now

    @rule(torn=st.sampled_from([b"", b'{"event":"settle","id":1', b"\0\0"]))
    def die_and_reopen(self, torn: bytes) -> None:
        self.ledger.close()  # every line is in the file before a call returns: closing adds nothing
        with self.path.open("ab") as file:
            file.write(torn)
        self.open()
        for call in self.calls.values():
            if call.settled is None:
                call.settled, call.at = call.worst, self.now
                self.lost += 1

    @rule(seconds=st.sampled_from([1.0, 600.0, HOUR]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_ledger_is_the_model(self) -> None:
        spent = self.ledger.spent()
        settled = [call for call in self.calls.values() if call.settled is not None]
        assert spent.settled.calls == len(settled)
        assert abs(spent.settled.usd - math.fsum(call.counts for call in settled)) < NEAR
        assert abs(spent.settled.usd + spent.reserved_usd - self.used()) < NEAR
        assert spent.lost_calls == self.lost
        assert self.run.usd is None or self.used() <= self.run.usd + NEAR
        assert self.move.usd is None or all(self.used(move) <= self.move.usd + NEAR for move in MOVES)

    @invariant()
    def readers_see_the_same(self) -> None:
        book = read_book(self.path)
        assert len(book.open) == sum(call.settled is None for call in self.calls.values())
        assert abs(math.fsum(each.cost.usd for each in book.entries) - self.ledger.spent().settled.usd) < NEAR

    def used(self, move: str | None = None) -> float:
        return math.fsum(call.counts for call in self.calls.values() if move in (None, call.move))

    def used_lately(self) -> float:
        """A settlement counts up to a second longer than an hour."""
        lately = [c for c in self.calls.values() if c.settled is None or math.ceil(c.at) > self.now - HOUR]
        return math.fsum(call.counts for call in lately)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()


TestLedgerMachine = Machine.TestCase
TestLedgerMachine.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
