"""How a chosen move begins: its decision and open row in the archive, and the job that a worker performs.

All that is asked of the rows is asked of one agent or two, so that a move costs the same however many rows there are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from archive import Archive, Decision, Evaluation, History
from benchmarks import Benchmark
from evolve.entry import entry_for
from evolve.evidence import evidence_of, overflowed
from evolve.jobs import EvaluationJob, Evidence, ExpansionJob, Job
from evolve.moves import Evaluate, Expand, Move
from evolve.policies import View
from evolve.rows import Row, key_of
from evolve.seeds import derive, generator
from evolve.settings import Settings
from evolve.state import next_attempt, search


class Known(Protocol):
    """What a move is made from besides the policy's choice: an archive as it is, or a `History` as it was."""

    def evaluations_of(self, agent: int) -> tuple[Evaluation, ...]: ...

    def shapes(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Openings:
    """Of one run. For the main thread: it writes the archive."""

    archive: Archive
    settings: Settings
    benchmark: Benchmark

    def open(self, move: Move, number: int, view: View, known: Known) -> tuple[Row, Job]:
        """Open the row of what the policy chose as its decision of that number, on that view."""
        decision = Decision(
            number=number,
            policy=self.settings.policy.name,
            move="expand" if isinstance(move, Expand) else "evaluate",
            agent=move.agent,
            task=view.tasks[move.task] if isinstance(move, Evaluate) else None,
            evidence=json.dumps(grounds(view, move)),
            at=datetime.now(UTC),
        )
        if isinstance(move, Expand):
            return self._expansion(decision, move, view.tasks, known)
        return self._evaluation(decision, known)

    def _evaluation(self, decision: Decision, known: Known) -> tuple[Row, Job]:
        agent, task = self.archive.agent(decision.agent), str(decision.task)
        attempt = next_attempt(known.evaluations_of(agent.id), agent.id, task)
        seed = derive(self.settings.seed, "evaluate", agent.tree, task, attempt)
        row = self.archive.open_evaluation(
            decision,
            agent=agent.id,
            benchmark=self.settings.benchmark_name,
            split="search",
            task=task,
            attempt=attempt,
            seed=seed,
        )
        return row, EvaluationJob(key_of(row), self.archive.files(agent.id), task, seed)

    def _expansion(self, decision: Decision, move: Expand, tasks: Sequence[str], known: Known) -> tuple[Row, Job]:
        rows = known.evaluations_of(move.agent)
        if move.entry.peer is not None:
            rows += known.evaluations_of(move.entry.peer)
        rng = generator(self.settings.seed, "entry", decision.number)
        entry = entry_for(move, tasks, search(History(evaluations=rows)), self._overflowed, rng)
        seed = derive(self.settings.seed, "expand", decision.number)
        shapes = known.shapes()
        row = self.archive.open_expansion(decision, entry=entry.name, seed=seed, peer=move.entry.peer)
        job = ExpansionJob(
            key=key_of(row),
            agent=self.archive.files(decision.agent),
            weakness=entry.weakness,
            evidence=tuple(self._evidence(shown, move.agent) for shown in entry.evaluations),
            seed=seed,
            known=shapes,
            lesson=entry.lesson,
        )
        return row, job

    def _evidence(self, shown: Evaluation, parent: int) -> Evidence:
        hidden = self.settings.diagnosis.hidden_tests
        evidence = evidence_of(shown, self.archive.folder_of(shown), self.benchmark, hidden=hidden)
        return replace(evidence, stranger=shown.agent != parent)

    def _overflowed(self, row: Evaluation) -> bool:
        return overflowed(self.archive.folder_of(row))


def grounds(view: View, move: Move) -> dict[str, object]:
    """What a decision was made on, for the archive."""
    own, whole = view.own(move.agent), view.whole(move.agent)
    return {
        "agents": view.agents,
        "evaluations": view.evaluations,
        "evaluations_in_flight": view.evaluations_in_flight,
        "expansions_in_flight": view.expansions_in_flight,
        "own": [own.passed, own.failed],
        "clade": [whole.passed, whole.failed],
    }
