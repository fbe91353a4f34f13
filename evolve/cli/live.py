"""What a person sees while a run grows: a live view in a terminal, plain log lines anywhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archive import Archive, Bill, Evaluation, Expansion, History, Outcome, Tally
from evolve.cli.following import Following, Skills
from evolve.cli.pace import Pace, Work, work_before
from evolve.cli.pauses import Pauses, pause_line
from evolve.cli.render import console, count, outcome_text, plain, score_text
from evolve.cli.summary import duration
from evolve.llm import Outage
from evolve.policies import View
from evolve.settings import Settings
from evolve.statistics.beliefs import QUICK, skills_within
from evolve.statistics.posterior import Skill

REFRESH = 2
"""Times a second that the live view is drawn: enough for a clock that counts seconds."""
RECENT = 6
"""Closed moves shown under the moves in flight, where there is room."""
HEAD = 7
"""Lines of the live view that are no moves: the head, one under it, and the last one, empty for the cursor."""
REASON = 240
"""Characters of a reason in a log line; the archive keeps all of it."""

Row = Evaluation | Expansion


@contextmanager
def watch(
    archive: Archive,
    settings: Settings,
    *,
    plain: bool,
    spent: Callable[[], Bill] | None = None,
    throttled: Callable[[], str | None] = lambda: None,
) -> Iterator[Live | PlainLog]:
    """The view that fits: live on a terminal, else log lines.

    `spent` tells what the models cost up to this moment; without it, what the archive's closed moves cost. `throttled`
    tells why not all workers may work, if so.
    """
    screen = console(sys.stderr)
    bill = spent or archive.spent
    alive = screen.is_terminal and not screen.is_dumb_terminal and not plain
    before = work_before(archive.history(), archive.about, bill())
    rows = archive.history
    listener = Live(settings, bill, screen, before, rows) if alive else PlainLog(settings, bill, before, rows)
    listener.pace.throttled = throttled
    try:
        yield listener
    finally:
        listener.close()


def title(row: Row) -> str:
    """A move in a few words."""
    if isinstance(row, Expansion):
        return f"expand agent {row.parent} for {row.entry}"
    return f"evaluate agent {row.agent} on {row.task}"


def ending(row: Row) -> str:
    """How a move ended, with the reason where that says more than the outcome."""
    born = f" agent {row.child}" if isinstance(row, Expansion) and row.outcome is Outcome.BORN else ""
    why = "" if row.outcome in (Outcome.RESOLVED, Outcome.BORN) else f" ({clipped(row.reason, REASON)})"
    source = row.source if isinstance(row, Evaluation) else ""
    when = f"from the cache ({source})" if source else f"in {duration(row.seconds)}"
    return f"{row.outcome}{born} {when}{why}"


def clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands, from one frozen view."""

    agents: int
    evaluations: int
    budget: int
    expansions: int
    expansion_budget: int
    best: int | None
    own: Tally
    skill: Skill | None = None
    """As it was worked out last, which may be some evaluations ago."""

    @property
    def best_line(self) -> str:
        if self.best is None:
            return "nothing measured yet"
        return f"agent {self.best}, {score_text(self.own, self.skill)}"

    @property
    def tree_line(self) -> str:
        return f"{count(self.agents, 'agent')}, {self.expansions} of {self.expansion_budget} expansions"


def standing(view: View, settings: Settings, skills: Skills) -> Standing:
    best = settings.policy.best(view)
    return Standing(
        agents=view.agents,
        evaluations=view.evaluations,
        budget=view.budget,
        expansions=view.expansions,
        expansion_budget=view.expansion_budget,
        best=best,
        own=Tally() if best is None else view.own(best),
        skill=None if best is None else skills.get(best),
    )


def work(history: History, tasks: tuple[str, ...], settings: Settings) -> Skills:
    """Every agent's skill; none in a tree so large that it would take long."""
    found = skills_within(history, tasks, settings.benchmark_name, QUICK)
    return {} if isinstance(found, str) else found


def follow(following: Following, history: Callable[[], History], tasks: tuple[str, ...], settings: Settings) -> None:
    """Have the skills worked out anew, unless that is in vain: then no row is read, however often it is asked."""
    if not following.busy:
        following.ask(partial(work, history(), tasks, settings))


class PlainLog:
    """One line an event, for logs and pipes."""

    def __init__(
        self,
        settings: Settings,
        spent: Callable[[], Bill],
        before: Work | None = None,
        history: Callable[[], History] = History,
    ) -> None:
        """`history`: the rows from which skills are worked out."""
        self.settings = settings
        self.pace = Pace(settings, spent, before)
        self.following = Following()
        self._history = history
        self._stale = True
        self._said = -1
        self._prepared: int | None = None
        self._pauses = Pauses()

    def say(self, text: str) -> None:
        click.echo(f"{time.strftime('%H:%M:%S')} {plain(text)}", err=True)

    def progress(self, done: int, of: int) -> None:
        """At the first tasks that are done, at every fiftieth and at the end; benchmarks count singly or in leaps."""
        if self._prepared is None or done == of or done // 50 > self._prepared // 50:
            once = "" if self._prepared is not None else " (once for this machine)"
            self.say(f"preparing the benchmark: {done} of {of}{once}")
        self._prepared = done

    def opened(self, row: Row) -> None:
        self.pace.begin()

    def closed(self, row: Row) -> None:
        self.pace.close(row)
        self._stale = True
        self.say(f"{title(row)}: {ending(row)}")

    def tick(self, view: View) -> None:
        """A summary after every tenth evaluation."""
        tens = view.evaluations // 10
        if tens > self._said >= 0:
            now = standing(view, self.settings, self.following.skills)
            self.say(
                f"-- {now.evaluations} of {now.budget} evaluations; {now.tree_line}; best: {now.best_line}; "
                f"{self.pace.money}; {self.pace.rate(now.budget - now.evaluations)}"
            )
        self._said = tens
        if self._stale:
            self._stale = False
            follow(self.following, self._history, view.tasks, self.settings)

    def paused(self, outages: tuple[Outage, ...]) -> None:
        if (line := self._pauses.line(outages)) is not None:
            self.say(line)

    def close(self) -> None:
        """Nothing is held."""


class Live:
    """A screen that shows what is happening now. Drawn by a thread of rich's, from facts that the loop hands over."""

    def __init__(
        self,
        settings: Settings,
        spent: Callable[[], Bill],
        screen: Console,
        before: Work | None = None,
        history: Callable[[], History] = History,
    ) -> None:
        """`history`: the rows from which skills are worked out."""
        self.settings = settings
        self.pace = Pace(settings, spent, before)
        self.following = Following()
        self._history = history
        self.state = "starting"
        self.standing: Standing | None = None
        self._lock = threading.Lock()
        self._flying: dict[tuple[type[Row], int], tuple[Row, float]] = {}
        self._recent: tuple[Row, ...] = ()
        self._stale = True
        self._outages: tuple[Outage, ...] = ()
        self._pauses = Pauses()
        self.console = screen
        self._screen = Screen(
            console=screen, refresh_per_second=REFRESH, get_renderable=self.draw, transient=True, redirect_stdout=False
        )
        self._screen.start()

    def say(self, text: str) -> None:
        """A line that stays, above the view."""
        self.console.print(plain(text, "dim"), soft_wrap=True)

    def progress(self, done: int, of: int) -> None:
        self.state = f"preparing the benchmark: {done} of {of} (once for this machine)"

    def opened(self, row: Row) -> None:
        self.pace.begin()
        with self._lock:
            self._flying[type(row), row.id] = (row, time.monotonic())

    def closed(self, row: Row) -> None:
        self.pace.close(row)
        with self._lock:
            self._flying.pop((type(row), row.id), None)
            self._recent = (row, *self._recent)[:RECENT]
            self._stale = True

    def tick(self, view: View) -> None:
        """The best agent is only looked for when something was closed: that takes a while in a large tree."""
        if self._stale or self.standing is None:
            self._stale = False
            self.standing = standing(view, self.settings, self.following.skills)
            follow(self.following, self._history, view.tasks, self.settings)
        elif self.standing.best is not None:
            self.standing = replace(self.standing, skill=self.following.skills.get(self.standing.best))

    def paused(self, outages: tuple[Outage, ...]) -> None:
        self._outages = outages
        if (line := self._pauses.line(outages)) is not None:
            self.say(line)

    def close(self) -> None:
        """Take the view away and give the terminal back. Safe to call twice."""
        self._screen.stop()

    def draw(self) -> RenderableType:
        if self.standing is None:
            return Text(self.state, no_wrap=True, overflow="ellipsis")
        with self._lock:
            flying, recent = list(self._flying.values()), self._recent
        # The last line is empty: a terminal writes the ^C of an interruption where the cursor stands, and at the end of
        # a full line that would break the line, so that the view would be taken away one line too low.
        return Group(self._head(self.standing), Text(), *self._moves(flying, recent), Text())

    def _head(self, now: Standing) -> Table:
        head = Table.grid(padding=(0, 2), expand=True)
        head.add_column(no_wrap=True, style="dim")
        head.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        bar = Table.grid(padding=(0, 2))
        bar.add_row(ProgressBar(now.budget, now.evaluations, width=30), f"{now.evaluations} of {now.budget}")
        head.add_row("evaluations", bar)
        head.add_row("tree", now.tree_line)
        head.add_row("best", Text(now.best_line, style="bold"))
        head.add_row("pace", self.pace.rate(now.budget - now.evaluations))
        head.add_row("spent", self.pace.money)
        return head

    def _moves(self, flying: list[tuple[Row, float]], recent: tuple[Row, ...]) -> list[RenderableType]:
        """The moves in flight, the longest first, then the last ones closed: as many as the screen has lines for."""
        outages = self._outages
        room = max(2, self.console.size.height - HEAD - bool(outages))
        shown = flying if len(flying) <= room else flying[: room - 1]
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, justify="right")
        now = time.monotonic()
        for row, since in shown:
            table.add_row(Text("▶", "yellow"), plain(title(row)), duration(now - since))
        if len(shown) < len(flying):
            table.add_row("", Text(f"and {len(flying) - len(shown)} more", "dim"), "")
        for row in recent[: room - len(flying)] if len(flying) < room else ():
            table.add_row("", plain(title(row), "dim"), outcome_text(row.outcome))
        if outages:
            line = plain(pause_line(outages), "bold yellow")
            line.no_wrap, line.overflow = True, "ellipsis"
            return [line, table]
        if flying or not recent or recent[0].outcome is not Outcome.VOID:
            return [table]
        return [Text.assemble("waiting before the next try: ", plain(clipped(recent[0].reason, REASON))), table]
