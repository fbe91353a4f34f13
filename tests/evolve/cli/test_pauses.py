"""What is said of an outage: once when it begins, now and then while it lasts, and when it is over."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from evolve.cli.pauses import REMINDER_SECONDS, Pauses, pause_line
from evolve.llm import Outage


def out(service: str = "openai", *, ago: float = 0.0, next_try: float = 40.0) -> Outage:
    return Outage(service, "openai answered 503: overloaded", datetime.now(UTC) - timedelta(seconds=ago), next_try)


def test_a_line_tells_who_since_when_why_and_how_long_still() -> None:
    line = pause_line([out()])
    assert re.fullmatch(
        r"paused: openai takes no calls since \d\d:\d\d; next try in 40 s \(openai answered 503: overloaded\)", line
    )
    assert "being tried now" in pause_line([out(next_try=0.0)])
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d;", pause_line([out(ago=200_000)]))
    assert pause_line([out("a"), out("b")]).count("takes no calls") == 2


def test_it_is_said_once_now_and_then_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pauses = Pauses()
    assert pauses.line(()) is None
    said = []
    for _ in range(int(4 * REMINDER_SECONDS)):
        said.append(pauses.line([out()]))
        clock[0] += 1
    assert sum(line is not None for line in said) == 4
    assert pauses.line([out(), out("anthropic")]) is not None, "another service is news"
    assert pauses.line(()) == "goes on: anthropic, openai take calls again after 60 min"
    assert pauses.line(()) is None
    assert pauses.line([out()]) is not None, "and the next outage is told again"
