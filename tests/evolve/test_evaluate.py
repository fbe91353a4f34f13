"""From how a rollout ended and what grading found to the outcome of an evaluation."""

from dataclasses import replace

import pytest

from archive import Call, Outcome
from benchmarks import Verdict
from evolve.evaluate import conclude
from evolve.rollout import Rollout, report
from sandbox import Diff

CALL = Call("solve", "mine:m", 10, 0, 10, 0.1, 15.0, 0, "cancelled")
RUN = Rollout(
    diff=Diff(),
    status="done",
    summary="changed it",
    exit_code=0,
    timed_out=False,
    stderr="",
    seconds=1.0,
    box_seconds=0.1,
    steps=3,
    calls=(),
    fault=None,
    spent_out=None,
    waited=0.0,
    transcript=b"",
)
RIGHT = Verdict("RESOLVED", "all pass")
WRONG = Verdict("UNRESOLVED", "2 fail")
EMPTY = Verdict("EMPTY_PATCH", "nothing changed")
FORGED = Verdict("TAMPERED", "the guard passed")
UNJUDGED = Verdict("VOID", "sandbox: the engine died")

KILLED = replace(RUN, timed_out=True, exit_code=None, status="none")
CRASHED = replace(RUN, exit_code=1, status="none", stderr="Traceback\nKeyError: 'x'\n")
ERROR = replace(RUN, status="error", summary="no model")
SPENT = replace(RUN, spent_out="rollout", status="gave_up")
RUN_SPENT = replace(RUN, spent_out="run", status="gave_up")
STARVED = replace(KILLED, waited=0.5)
STARVED_AND_GONE = replace(RUN, waited=0.5, left=3.0)
STARVED_IN_PASSING = replace(RUN, waited=0.5, left=300.0)
UNANSWERED = replace(ERROR, left=3.0, steps=0, calls=(CALL,))
IMPATIENT = replace(ERROR, waited=0.5, left=300.0, calls=(CALL,))
IMPATIENT_FOR_NOTHING = replace(ERROR, waited=0.01, left=300.0, calls=(CALL,))
STUMBLED = replace(ERROR, waited=0.5, left=300.0, calls=(CALL, replace(CALL, status="ok")))
PROVIDER_DOWN = replace(RUN, fault="the provider is down", status="error")


@pytest.mark.parametrize(
    ("run", "verdict", "outcome"),
    [
        (RUN, RIGHT, Outcome.RESOLVED),
        (RUN, WRONG, Outcome.UNRESOLVED),
        (RUN, EMPTY, Outcome.EMPTY_PATCH),
        (RUN, FORGED, Outcome.TAMPERED),
        (RUN, UNJUDGED, Outcome.VOID),
        # partial work counts, however the agent ended
        (KILLED, RIGHT, Outcome.RESOLVED),
        (CRASHED, RIGHT, Outcome.RESOLVED),
        (SPENT, RIGHT, Outcome.RESOLVED),
        # "tried and failed", "crashed", "ran out" and "changed nothing" are different things
        (KILLED, EMPTY, Outcome.TIMED_OUT),
        (KILLED, WRONG, Outcome.TIMED_OUT),
        (CRASHED, EMPTY, Outcome.AGENT_CRASHED),
        (ERROR, EMPTY, Outcome.AGENT_CRASHED),
        (SPENT, EMPTY, Outcome.OVER_BUDGET),
        (KILLED, FORGED, Outcome.TAMPERED),
        # the house's faults are not the agent's
        (PROVIDER_DOWN, EMPTY, Outcome.VOID),
        (PROVIDER_DOWN, None, Outcome.VOID),
        (RUN_SPENT, EMPTY, Outcome.VOID),
        (STARVED, None, Outcome.VOID),
        (STARVED_AND_GONE, WRONG, Outcome.VOID),
        (UNANSWERED, EMPTY, Outcome.VOID),
        (STARVED_IN_PASSING, WRONG, Outcome.UNRESOLVED),
        (KILLED, UNJUDGED, Outcome.VOID),
        # who did not want to wait for a service that made it wait is not to blame; who failed later is
        (IMPATIENT, EMPTY, Outcome.VOID),
        (IMPATIENT_FOR_NOTHING, EMPTY, Outcome.AGENT_CRASHED),
        (STUMBLED, EMPTY, Outcome.AGENT_CRASHED),
    ],
)
def test_conclusions(run, verdict, outcome):
    found, reason = conclude(run, verdict)
    assert found is outcome
    assert reason


def test_a_crash_is_told_with_its_last_line():
    assert "KeyError: 'x'" in conclude(CRASHED, EMPTY)[1]


@pytest.mark.parametrize(
    "content", [None, b"", b"null", b"[1]", b'{"status": "resolved"}', b'{"status": 1}', b"\xff", b"[" * 100_000]
)
def test_a_result_is_never_believed_beyond_its_form(content):
    assert report(content)["status"] == "none"


def test_a_long_summary_is_cut():
    assert len(report(b'{"status": "done", "summary": "' + b"x" * 10_000 + b'"}')["summary"]) == 2000
