"""A folder of simulated runs that can be gone on with: one file a study, a line of JSON a run, added as they come.

    OUT/<world>/<policy>.jsonl      the first line says what was simulated; runs of anything else are not mixed in

A line that was cut off by a kill is dropped when the folder is opened again; its seed is simulated again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evolve.settings import SettingsError
from evolve.simulate.many import Chunk, Study, chunks, perform
from evolve.simulate.trace import Trace, trace_of


class Results:
    """The file of one study, open for adding. Raises: `SettingsError` if it holds another study's, or is in use."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.path = folder / f"{study.name}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            self._lock()
            self.traces = self._read(study)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, traces: Iterable[Trace]) -> None:
        """Keep runs, for good before it returns."""
        traces = tuple(traces)
        self.traces.update((trace.seed, trace) for trace in traces)
        self._write(trace.facts() for trace in traces)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(f"{self.path} is being written by another process") from None

    def _read(self, study: Study) -> dict[int, Trace]:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.ftruncate(self._file.fileno(), len(whole))
        wanted = about(study)
        if not whole:
            self._write([wanted])
            return {}
        lines = whole.splitlines()
        if _parsed(self.path, lines[0]) != wanted:
            raise SettingsError(
                f"{self.path} holds runs of another world, policy, plan or version of Clade; name another folder"
            )
        return {trace.seed: trace for trace in (trace_of(_parsed(self.path, line)) for line in lines[1:])}

    def _write(self, documents: Iterable[dict[str, Any]]) -> None:
        self._file.write(b"".join(json.dumps(each).encode() + b"\n" for each in documents))
        self._file.flush()
        os.fsync(self._file.fileno())


def read(path: Path) -> tuple[dict[str, Any], tuple[Trace, ...]]:
    """What a file holds, its study's facts and its runs by seed, also while it is being written: a line that is not
    whole yet is left out. Raises: `SettingsError` if it is no such file, `OSError`."""
    content = path.read_bytes()
    lines = content[: content.rfind(b"\n") + 1].splitlines() or [b""]
    traces = [trace_of(_parsed(path, line)) for line in lines[1:]]
    return _parsed(path, lines[0]), tuple(sorted(traces, key=lambda trace: trace.seed))


Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Told how many runs are to be made, gives what is told of each that is."""


def collect(
    studies: Sequence[Study], seeds: range, out: Path | None, processes: int, progress: Progress
) -> dict[str, list[Trace]]:
    """All runs of these seeds, in their order, by the study's name: kept in the folder, or made (and kept) now.

    Raises: `SettingsError` as `Results` does, `ChildProcessError` as `perform` does.
    """
    with ExitStack() as stack:
        kept = {} if out is None else {study.name: stack.enter_context(Results(out, study)) for study in studies}
        found: dict[str, dict[int, Trace]] = {study.name: {} for study in studies}
        for name, results in kept.items():
            found[name] = {seed: trace for seed, trace in results.traces.items() if seed in seeds}
        work = chunks([(study, [seed for seed in seeds if seed not in found[study.name]]) for study in studies])
        with progress(sum(len(chunk.seeds) for chunk in work)) as advance:

            def done(chunk: Chunk, traces: list[Trace]) -> None:
                if kept:
                    kept[chunk.study.name].add(traces)
                found[chunk.study.name].update((trace.seed, trace) for trace in traces)
                advance(len(traces))

            perform(work, processes, done)
    return {name: [traces[seed] for seed in sorted(traces)] for name, traces in found.items()}


def about(study: Study) -> dict[str, Any]:
    """What makes a study's runs comparable with one another, as JSON values."""
    facts = {
        "clade": version("clade-evolve"),
        "world": study.world,
        "settings": study.settings.model_dump(mode="json"),
        "policy": study.policy.model_dump(mode="json"),
        "plan": study.plan.model_dump(mode="json"),
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def _parsed(path: Path, line: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(line)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise SettingsError(f"{path} is not a file of simulated runs; name another folder")
    return facts
