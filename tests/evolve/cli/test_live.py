"""The live view and the log lines: calm, right, within their lines, and deaf to what agents and models wrote."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from archive import Archive, Bill, Evaluation, Expansion, History, Outcome
from evolve.cli.farewell import farewell
from evolve.cli.live import Live, PlainLog, standing, watch
from evolve.llm import Outage
from evolve.policies import View
from evolve.settings import Settings
from evolve.state import view_of

TASKS = tuple(f"HumanEval/{number}" for number in range(30))
SPAN = r"\d+ % \(\d+ to \d+\)"
HOSTILE = "\x1b[2J\x1b]0;owned\x07ev\u202eil\r\nclade: all is well\x9b1m"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
CSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What the view itself sends: colours, cursor moves, erased lines."""


def evaluation(id: int = 1, task: str = "task-1", outcome: Outcome | None = None, reason: str = "") -> Evaluation:
    now = datetime.now(UTC)
    return Evaluation(
        id, decision=id, agent=0, benchmark="repair", split="search", task=task, attempt=0, seed=1, outcome=outcome,
        reason=reason, seconds=2.0, opened=now, closed=None if outcome is None else now,
    )  # fmt: skip


def expansion(
    id: int = 1, entry: str = "weakness:context", outcome: Outcome | None = None, reason: str = ""
) -> Expansion:
    child = 7 if outcome is Outcome.BORN else None
    return Expansion(
        id, decision=id, parent=0, entry=entry, seed=1, outcome=outcome, reason=reason, child=child, seconds=100.0,
        opened=datetime.now(UTC),
    )  # fmt: skip


@pytest.fixture
def history(grown: Path) -> History:
    with Archive.open(grown) as archive:
        return archive.history()


@pytest.fixture
def view(history: History) -> View:
    return view_of(history, TASKS, Settings())


class Glass:
    """A live view on a terminal of paper."""

    def __init__(
        self,
        settings: Settings,
        usd: float,
        width: int = 80,
        height: int = 24,
        history: Callable[[], History] = History,
    ) -> None:
        self.paper = io.StringIO()
        self.console = Console(
            file=self.paper, force_terminal=True, width=width, height=height, markup=False, emoji=False, highlight=False
        )
        self.live = Live(settings, lambda: Bill(usd=usd), self.console, history=history)

    def lines(self) -> list[str]:
        """What the view shows now, on a sheet of its own."""
        sheet = Console(file=io.StringIO(), width=self.console.width, height=self.console.height, highlight=False)
        with sheet.capture() as captured:
            sheet.print(self.live.draw())
        return [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]


@pytest.fixture
def glass() -> Iterator[type[Glass]]:
    made: list[Glass] = []

    class Kept(Glass):
        def __init__(self, *arguments: object, **more: object) -> None:
            super().__init__(*arguments, **more)  # type: ignore[arg-type]
            made.append(self)

    yield Kept
    for each in made:
        each.live.close()


def test_the_view_says_where_the_run_stands(glass: type[Glass], view: View) -> None:
    seen = glass(Settings.model_validate({"budget": {"evaluations": 400, "usd": 20.0}}), 0.5)
    assert seen.lines() == ["starting"]
    seen.live.progress(14, 164)
    assert "preparing the benchmark: 14 of 164" in seen.lines()[0]
    seen.live.opened(evaluation(1))
    seen.live.opened(expansion(1))
    seen.live.closed(evaluation(2, "task-2", Outcome.RESOLVED))
    seen.live.tick(view)
    text = "\n".join(seen.lines())
    own = view.own(11)
    assert f"{view.evaluations} of" in text
    assert f"{view.agents} agents" in text
    assert re.search(rf"agent 11, raw {own.passed} of {own.n}, \d+ % \(\d+ to \d+\)$", text, re.MULTILINE)
    assert "$0.50 of $20.00" in text
    assert re.search(r"▶ evaluate agent 0 on task-1 +0 s", text)
    assert re.search(r"▶ expand agent 0 for weakness:context +0 s", text)
    assert re.search(r"  evaluate agent 0 on task-2 +RESOLVED", text)


def test_the_view_shows_the_skill_as_soon_as_it_is_worked_out(glass: type[Glass], view: View, history: History) -> None:
    seen = glass(Settings(), 0.0, history=lambda: history)
    seen.live.tick(view)
    seen.live.following.wait()
    known = seen.live.following.skills
    assert known.keys() == {agent.id for agent in history.agents}
    seen.live.tick(view)
    assert re.search(rf"agent 11, raw \d+ of \d+, {SPAN}; skill {SPAN}$", "\n".join(seen.lines()), re.MULTILINE)
    for _ in range(3):
        seen.live.closed(evaluation(1, outcome=Outcome.RESOLVED))
        seen.live.tick(view)
    assert seen.live.following.skills is known, "and not again for each move that ends"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 12)])
def test_the_view_fits_its_terminal(glass: type[Glass], view: View, width: int, height: int) -> None:
    seen = glass(Settings(), 0.0, width, height)
    seen.live.tick(view)
    for id in range(1, 65):
        seen.live.opened(evaluation(id, f"task-{id}-" + "x" * 100))
    seen.live.closed(evaluation(99, "y" * 100, Outcome.AGENT_CRASHED))
    lines = seen.lines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    shown = sum("▶" in line for line in lines)
    assert f"and {64 - shown} more" in "\n".join(lines)
    assert "task-1-" in "\n".join(lines), "the longest under way is shown"


def test_between_two_tries_the_view_says_why_nothing_moves(glass: type[Glass], view: View) -> None:
    seen = glass(Settings(), 0.0)
    seen.live.tick(view)
    seen.live.closed(evaluation(1, outcome=Outcome.VOID, reason="model: the engine is overloaded"))
    assert "waiting before the next try: model: the engine is overloaded" in "\n".join(seen.lines())
    seen.live.opened(evaluation(2))
    assert "waiting" not in "\n".join(seen.lines())


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12)])
def test_while_a_service_is_out_the_view_says_so(glass: type[Glass], view: View, width: int, height: int) -> None:
    seen = glass(Settings(), 0.0, width, height)
    seen.live.tick(view)
    for id in range(1, 65):
        seen.live.opened(evaluation(id))
    outage = Outage("mine", HOSTILE, datetime.now(UTC), 40.0)
    seen.live.paused((outage,))
    lines = seen.lines()
    assert any(line.startswith("paused: mine takes no calls since ") for line in lines)
    assert len(lines) <= height and max(map(len, lines)) <= width
    assert not any(STEERING.search(line) for line in lines)
    seen.live.paused(())
    assert "paused" not in "\n".join(seen.lines())
    paper = CSI.sub("", seen.paper.getvalue())
    assert "goes on: mine takes calls again" in paper and "\u202e" not in paper, "and both lines stay"


def test_nothing_that_was_written_elsewhere_steers_the_terminal(glass: type[Glass], view: View) -> None:
    seen = glass(Settings(), 0.0)
    seen.live.tick(view)
    seen.live.say(HOSTILE)
    seen.live.opened(evaluation(1, HOSTILE))
    seen.live.opened(expansion(1, HOSTILE))
    seen.live.closed(evaluation(1, HOSTILE, Outcome.VOID, HOSTILE))
    seen.live.closed(expansion(1, HOSTILE, Outcome.VOID, HOSTILE))
    lines = seen.lines()
    assert "owned" in "\n".join(lines)
    assert not any(STEERING.search(line) for line in lines)
    assert not any(line.startswith("clade: all is well") for line in lines)
    seen.live.close()
    paper = seen.paper.getvalue()
    assert "owned" in paper and "\x1b]" not in paper and "\x1b[2J" not in paper and "\u202e" not in paper


def test_the_terminal_is_given_back(glass: type[Glass], view: View) -> None:
    seen = glass(Settings(), 0.0)
    seen.live.tick(view)
    seen.live.close()
    seen.live.close()
    paper = seen.paper.getvalue()
    assert paper.rindex("\x1b[?25h") > paper.rindex("\x1b[?25l"), "the cursor is visible again"
    assert CSI.sub("", paper).strip("\r\n ").count("evaluations") <= 2, "the view is drawn, not scrolled"


def test_log_lines_are_one_line_an_event(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    log = PlainLog(Settings(), lambda: Bill(usd=0.25))
    log.opened(evaluation(1))
    log.closed(evaluation(1, outcome=Outcome.RESOLVED, reason="all pass"))
    log.closed(evaluation(2, HOSTILE, Outcome.UNRESOLVED, HOSTILE))
    log.closed(evaluation(3, outcome=Outcome.VOID, reason="z" * 5000))
    log.closed(expansion(1, outcome=Outcome.BORN))
    log.tick(replace(view, evaluations=9))
    log.tick(replace(view, evaluations=10))
    log.tick(replace(view, evaluations=11))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0].endswith(" evaluate agent 0 on task-1: RESOLVED in 2 s")
    assert not any(STEERING.search(line) for line in lines) and max(map(len, lines)) < 400
    assert lines[3].endswith("expand agent 0 for weakness:context: BORN agent 7 in 2 min")
    assert re.search(r"-- 10 of 80 evaluations; 15 agents, .* best: agent 11, raw .* \$0\.25; .* left$", lines[4])


@pytest.mark.parametrize(("step", "said"), [(1, [1, 50, 100, 150, 164]), (14, [14, 56, 112, 154, 164])])
def test_the_log_is_not_silent_while_tasks_are_proven(
    capsys: pytest.CaptureFixture[str], step: int, said: list[int]
) -> None:
    """Some benchmarks count their tasks one by one, others in batches whose ends are no round numbers."""
    log = PlainLog(Settings(), Bill)
    for done in (*range(step, 164, step), 164):
        log.progress(done, 164)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("benchmark: ")[2].partition(" of")[0] for line in lines] == list(map(str, said))
    assert [line for line in lines if line.endswith("of 164 (once for this machine)")] == lines[:1]


@pytest.mark.parametrize(
    ("term", "plain", "kind"), [("xterm", False, Live), ("xterm", True, PlainLog), ("dumb", False, PlainLog)]
)
def test_the_view_is_for_terminals_that_can_draw_it(
    grown: Path, monkeypatch: pytest.MonkeyPatch, term: str, plain: bool, kind: type
) -> None:
    master, slave = os.openpty()
    monkeypatch.setenv("TERM", term)
    with os.fdopen(master, "rb"), os.fdopen(slave, "w") as terminal, Archive.open(grown) as archive:
        monkeypatch.setattr("sys.stderr", terminal)
        with watch(archive, Settings(), plain=plain) as listener:
            assert isinstance(listener, kind)


def test_the_last_words_name_the_next_commands(history: History, view: View) -> None:
    folder = Path("runs/my run")
    text = farewell(history, Settings(), folder, tasks=TASKS, reason="the budget is spent", finished=True, usd=1.5)
    lines = text.splitlines()
    assert lines[0] == "The budget is spent."
    assert (
        lines[1].startswith("15 agents, ") and "1 evaluation" not in lines[1].split() and lines[1].endswith("; $1.50.")
    )
    for line, name in ((lines[2], "Best is agent 11"), (lines[3], "The seed")):
        assert re.fullmatch(rf"{name}: raw \d+ of \d+, {SPAN}; skill {SPAN}\.", line)
    assert standing(view, Settings(), {}).best == 11
    for command in (
        "tree 'runs/my run'",
        "best",
        "final 'runs/my run'",
        "export 'runs/my run' 11",
    ):
        assert f"clade {command}" in text
    assert "clade run" not in text
    assert max(map(len, lines)) <= 80


def test_a_run_that_was_stopped_can_go_on(history: History) -> None:
    alone = History(history.agents[:1])
    text = farewell(alone, Settings(), Path("r"), tasks=TASKS, reason=HOSTILE, finished=False, usd=0.0)
    assert "clade run r" in text and "clade best" not in text
    assert not any(STEERING.search(line) for line in text.splitlines())
