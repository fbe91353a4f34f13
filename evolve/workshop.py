"""The workshop: what a process needs to perform jobs (sandbox, gateway, benchmark), opened once from the settings.

Threads share one. A cluster's engine would open one per node, with the same settings and its own folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from archive import Bill
from benchmarks import Benchmark, Quarantined, open_benchmark
from evolve.evaluate import evaluate
from evolve.expand import expand
from evolve.house import House
from evolve.jobs import EvaluationJob, Job, Record, cleaned
from evolve.llm import Cassette, Gateway, Ledger, Throttle, Traffic, Tripwire, Usage, limits_of, open_models
from evolve.packed import unpacked
from evolve.scratch import clear_scratch, open_scratch
from evolve.settings import Settings
from evolve.supply import Supply
from sandbox import Sandbox, open_sandbox


def cache_folder() -> Path:
    """Where benchmarks keep what they have proven, for all runs of a user (XDG base directories)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clade"


class Workshop:
    """Performs jobs. A context manager; `perform` may be called from many threads.

    Raises on opening: `SandboxError`, `BenchmarkError`, `ModelError`, each with the cure.
    """

    def __init__(self, settings: Settings, folder: Path, cassette: Cassette | None = None) -> None:
        """`cassette` records what the models say, or says it in their place; it stays open when the workshop closes."""
        roles = settings.models.roles
        models = open_models(
            roles,
            settings.providers,
            parameters=settings.models.parameters,
            max_output_tokens=settings.models.max_output_tokens,
            unplugged=cassette is not None and cassette.mode == "replay",
        )
        self.benchmark: Benchmark = open_benchmark(settings.benchmark_name, settings.benchmark_options, cache_folder())
        self.sandbox: Sandbox = open_sandbox(settings.sandbox.kind)
        self.ledger = Ledger(folder / "ledger.jsonl", settings.budget.caps, move=settings.budget.move_caps)
        self.folder = folder
        self.cassette = cassette
        scratch = open_scratch(folder)
        traffic = Traffic(limits_of(roles, settings.providers))
        self.tripwire = Tripwire()
        self.gateway = Gateway(
            models, self.ledger, folder=scratch, traffic=traffic, cassette=cassette, tripwire=self.tripwire
        )
        self.throttle = Throttle(models, settings.workers)
        self.house = House(settings, self.sandbox, self.gateway, scratch, self.tripwire)

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> tuple[Quarantined, ...]:
        """Prove the benchmark's tasks once; says which ones are left out."""
        return self.benchmark.prepare(self.sandbox, progress)

    def perform(self, job: Job) -> Record:
        """Do one job to its end. The agent's failures and the house's faults are outcomes of the record."""
        if self.cassette is not None and (kept := self.cassette.record_of(job.key)) is not None:
            return self._taken_over(job, unpacked(kept))
        record = (
            evaluate(job, self.house, self.benchmark) if isinstance(job, EvaluationJob) else expand(job, self.house)
        )
        return cleaned(record)

    def _taken_over(self, job: Job, record: Record) -> Record:
        """A recorded move that cannot be brought about again, because a clock or a fault of the house made it so."""
        account = self.ledger.account(job.key)
        for call in record.calls:
            usage = Usage(call.input_tokens, call.cached_tokens, output_tokens=call.output_tokens)
            account.book(call.role, call.model, usage, call.usd, status="replayed")
        return record

    def spent(self) -> Bill:
        """What the models cost since the run began, earlier sessions and calls that died with them included."""
        return self.ledger.spent().settled

    def supply(self) -> Supply:
        """What the loop asks about the models."""
        return Supply(
            spent=self.spent,
            no_room=lambda: self.ledger.spent().no_room,
            outages=self.gateway.traffic.outages,
            crowded=self.gateway.traffic.crowded,
            refusal=self.refusal,
            capacity=self.throttle.moves,
        )

    def refusal(self) -> str | None:
        """Why no further call can succeed until a person mends something."""
        missed = None if self.cassette is None else self.cassette.missed
        return self.tripwire.breach or missed or self.gateway.traffic.refusal()

    def __enter__(self) -> Self:
        self.tripwire.plant()
        self.gateway.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tripwire.lift()
        self.gateway.close()
        self.ledger.close()
        clear_scratch(self.folder)
        self.sandbox.close()
