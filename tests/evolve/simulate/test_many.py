"""Many seeds: the same in one process and in two; a folder of results can be gone on with after any interruption."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evolve.policies import HGM, Uniform
from evolve.settings import SettingsError
from evolve.simulate import Chunk, Plan, Results, Study, Trace, WorldSettings, chunks, perform
from evolve.simulate.many import CHUNK, THREADS
from evolve.simulate.trace import trace_of

TINY = WorldSettings(tasks=6, sealed=6)
STUDY = Study("tiny", TINY, Uniform(), Plan(evaluations=8, workers=2))


def simulated(work: list[Chunk], processes: int) -> dict[int, Trace]:
    found: dict[int, Trace] = {}
    perform(work, processes, lambda _chunk, traces: found.update((trace.seed, trace) for trace in traces))
    return found


def test_processes_make_no_difference():
    before = {name: os.environ.get(name) for name in THREADS}
    work = [Chunk(STUDY, (0, 1)), Chunk(STUDY, (2,))]
    assert simulated(work, 1) == simulated(work, 2)
    assert {name: os.environ.get(name) for name in THREADS} == before


def test_studies_go_on_side_by_side():
    other = Study("tiny", TINY, HGM(), STUDY.plan)
    cut = chunks([(STUDY, range(2 * CHUNK + 1)), (other, range(CHUNK))])
    assert [(chunk.study.name, len(chunk.seeds)) for chunk in cut] == [
        ("tiny/uniform", CHUNK), ("tiny/hgm", CHUNK), ("tiny/uniform", CHUNK), ("tiny/uniform", 1),
    ]  # fmt: skip
    assert chunks([]) == []


def test_results_are_read_back_as_they_were(tmp_path):
    made = Chunk(STUDY, (0, 1, 2)).perform()
    with Results(tmp_path, STUDY) as results:
        assert results.traces == {}
        results.add(made[:2])
    with Results(tmp_path, STUDY) as results:
        assert list(results.traces.values()) == made[:2]
        results.add(made[2:])
    with Results(tmp_path, STUDY) as results:
        assert list(results.traces.values()) == made


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_what_a_kill_cut_off_is_dropped_and_nothing_else(tmp_path, cut):
    made = Chunk(STUDY, (0, 1)).perform()
    with Results(tmp_path, STUDY) as results:
        results.add(made)
    path = results.path
    path.write_bytes(path.read_bytes()[:-cut])
    with Results(tmp_path, STUDY) as results:
        assert list(results.traces.values()) == made[:1]
        results.add(made[1:])
    with Results(tmp_path, STUDY) as results:
        assert list(results.traces.values()) == made


def test_even_a_first_line_that_was_cut_off_is_mended(tmp_path):
    with Results(tmp_path, STUDY) as results:
        path = results.path
    path.write_bytes(path.read_bytes()[:20])
    with Results(tmp_path, STUDY) as results:
        assert results.traces == {}
    assert json.loads(path.read_bytes())["world"] == "tiny"


def test_runs_of_something_else_are_not_mixed_in(tmp_path):
    with Results(tmp_path, STUDY):
        pass
    for changed in (
        Study("tiny", TINY.model_copy(update={"void": 0.2}), STUDY.policy, STUDY.plan),
        Study("tiny", TINY, STUDY.policy, Plan(evaluations=9, workers=2)),
    ):
        with pytest.raises(SettingsError, match="another world, policy, plan"):
            Results(tmp_path, changed)
    with (
        Results(tmp_path, STUDY) as usual,
        Results(tmp_path, Study("tiny", TINY, Uniform(alpha=0.5), STUDY.plan)) as other,
    ):
        assert usual.path != other.path, "a policy with other options has a file of its own"


def test_two_writers_of_one_file_are_refused(tmp_path):
    with Results(tmp_path, STUDY), pytest.raises(SettingsError, match="another process"):
        Results(tmp_path, STUDY)


@pytest.mark.parametrize("text", [b"not json\n", b"[1]\n"])
def test_a_strangers_file_is_refused_and_left_as_it_is(tmp_path, text):
    path = tmp_path / "tiny" / "uniform.jsonl"
    path.parent.mkdir()
    path.write_bytes(text)
    with pytest.raises(SettingsError, match="not a file of simulated runs"):
        Results(tmp_path, STUDY)
    assert path.read_bytes() == text


def test_a_trace_of_another_make_is_refused():
    (made,) = Chunk(STUDY, (0,)).perform()
    assert trace_of(json.loads(json.dumps(made.facts()))) == made
    with pytest.raises(SettingsError, match="not a simulated run"):
        trace_of({"seed": 1})
    with pytest.raises(SettingsError, match="not a simulated run"):
        trace_of(made.facts() | {"colour": "red"})


def test_who_is_interrupted_waits_for_no_more_than_the_runs_under_way():
    """The second chunk alone would take hours."""
    work = [Chunk(STUDY, (0,)), Chunk(STUDY, tuple(range(1_000_000)))]

    def interrupted(_chunk: Chunk, _traces: list[Trace]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(work, 2, interrupted)


LEADING = """
from tests.evolve.simulate.test_many import STUDY
import os
from evolve.simulate import Chunk, perform

def first(chunk, traces):
    print("begun", flush=True)

perform([Chunk(STUDY, (0,)), Chunk(STUDY, tuple(range(10**6))), Chunk(STUDY, tuple(range(10**6)))], 2, first)
"""


def test_processes_end_with_the_one_that_leads_them():
    """However it was killed: here all of them would go on for hours, and then wait for ever."""
    root = str(Path(__file__).parents[3])
    leader = subprocess.Popen(
        [sys.executable, "-c", LEADING], cwd=root, env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    with leader:
        assert leader.stdout is not None and leader.stdout.readline() == b"begun\n"
        leader.kill()
    ends = time.monotonic() + 30
    while alive := in_session(leader.pid):
        assert time.monotonic() < ends, alive
        time.sleep(0.1)


def in_session(number: int) -> list[int]:
    """Processes that go on in a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == number and state != "Z":
                found.append(int(entry.name))
    return found


def test_a_process_that_died_is_told_in_one_sentence():
    deadly: Any = SimpleNamespace(perform=partial(os._exit, 9))
    with pytest.raises(ChildProcessError, match="ended from outside"):
        perform([deadly, deadly], 2, lambda _chunk, _traces: None)
