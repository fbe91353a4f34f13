"""What to do next on a piece of code: look, run the check, try one small change at a time, keep what helps.

One way of working for every problem. Where the check fails, changes are made to get it to pass; where it passes already
and the problem is told in words, the few changes are made that the words suggest, and the check has to stay green.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from evolve.llm.offline.candidates import Edit
from evolve.llm.offline.checks import bounded, check_command, is_test, passed
from evolve.llm.offline.hands import Call, Hands
from evolve.llm.offline.improvement import edits_wanted, next_improvement
from evolve.llm.offline.notes import Notes, View, read_command
from evolve.llm.offline.suspicion import hints_in, next_repair

LIST = "find . -name '*.py' -type f -size -200k -not -path '*/.*' | sort | head -n 60"
SAFE_PATH = re.compile(r"^(?:\./)?([\w./-]+\.py)$")
TOGETHER = re.compile(
    r"\b(?:change|edit)[^.\n]*\btests?\b[^.\n]*\b(?:one|same|single) (?:command|call|step)", re.IGNORECASE
)
"""How the messages may ask for changes and tests in one command."""
MAX_FILES = 8
FRUITLESS = 3
"""Readings in a row without anything new before the model gives up on seeing the files."""


@dataclass(frozen=True)
class Step:
    """The next answer: calls to make in order, or (if there are none) a last message."""

    text: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Mood:
    """What the request's parameters and the seed decide."""

    seed: int
    temperature: float


def next_step(notes: Notes, hands: Hands, mood: Mood) -> Step:
    """All that can be decided before something new has been seen; who may make one call an answer makes the first."""
    if hands.shell is None:
        return Step("GAVE UP: there is no tool to run commands with.")
    listing = next((output for command, output in notes.commands if command == LIST), None)
    if listing is None:
        return Step("Let me see what is here.", (hands.run(LIST),))
    files = [found.group(1) for line in listing.splitlines() if (found := SAFE_PATH.match(line.strip()))]
    reading = _reading(notes, hands, files)
    if notes.fruitless >= FRUITLESS:
        return Step("GAVE UP: the files do not show in what the tools print.")
    command = check_command(notes.opening, files)
    check = (hands.run(bounded(command)),) if command else ()
    if reading:
        return Step("Let me read the code.", reading + (check if notes.baseline is None and not notes.pending else ()))
    if not notes.texts:
        return Step("GAVE UP: there is no Python code here that the problem could be about.")
    if command is None:
        return _improve(notes, hands, mood, ())
    if notes.check is None and (notes.pending or notes.baseline is None):
        return Step("Now the check.", check)
    if notes.baseline is not None and passed(notes.baseline):
        return _improve(notes, hands, mood, check)
    return _repair(notes, hands, mood, check)


def _change(notes: Notes, hands: Hands, edits: list[Edit], check: tuple[Call, ...]) -> tuple[Call, ...]:
    """Calls that make edits and check them; one single command where the messages ask for that."""
    command = hands.command_of(check[0]) if check else None
    if command and TOGETHER.search(notes.opening):
        return (hands.change_and_check(edits, command),)
    return (*(hands.change(edit) for edit in edits), *check)


def _reading(notes: Notes, hands: Hands, files: list[str]) -> tuple[Call, ...]:
    """Readings of the files concerned not known yet: those that the problem names, else all that are no tests."""
    code = [path for path in files if not is_test(path)]
    named = [path for path in code if re.search(rf"(?<![\w/]){re.escape(path)}\b", notes.issue)]
    wanted = (named or code)[:MAX_FILES]
    calls = []
    for path in wanted:
        if path not in notes.texts:
            view = notes.views.get(path, View())
            calls.append(hands.run(read_command(path, view.gap if view.lines else None)))
    return tuple(calls)


def _repair(notes: Notes, hands: Hands, mood: Mood, check: tuple[Call, ...]) -> Step:
    """The check fails: take back what did not help and try the next change."""
    output = notes.check[1] if notes.check else notes.baseline or ""
    if passed(output) and notes.pending:
        return Step(f"The check passes now. {_told(notes.pending)}")
    undo = [edit.undone for edit in reversed(notes.pending)]
    texts = _without(notes.texts, notes.pending)
    hints = hints_in(notes.baseline or "")
    edit = next_repair(texts, notes.tried, notes.hung, hints, mood.seed, mood.temperature)
    if edit is None:
        if undo:
            return Step("That did not help.", tuple(hands.change(taken_back) for taken_back in undo))
        return Step("GAVE UP: no change that I can think of helps.")
    text = "That did not help; I try something else." if undo else "I try a change."
    return Step(text, _change(notes, hands, [*undo, edit], check))


def _improve(notes: Notes, hands: Hands, mood: Mood, check: tuple[Call, ...]) -> Step:
    """The check passes, and should do so after a few changes that the issue suggests."""
    broken = notes.check is not None and bool(notes.pending) and not passed(notes.check[1])
    undo = [notes.pending[-1].undone] if broken else []
    kept = notes.pending[:-1] if broken else notes.pending
    if not broken and len(kept) >= edits_wanted(mood.seed):
        return Step(f"The changes are made. {_told(kept)}")
    texts = _without(notes.texts, notes.pending[-1:]) if broken else notes.texts
    edit = next_improvement(texts, notes.issue, notes.tried, mood.seed, mood.temperature)
    if edit is None:
        if undo:
            return Step("I take that back.", (hands.change(undo[0]),))
        return Step(f"I know nothing else to change. {_told(kept)}")
    text = "I take that back and try something else." if undo else "I try a change."
    return Step(text, _change(notes, hands, [*undo, edit], check))


def _without(texts: Mapping[str, str], edits: list[Edit]) -> dict[str, str]:
    """The files as they were before these edits."""
    before = dict(texts)
    for edit in reversed(edits):
        if edit.path in before:
            before[edit.path] = before[edit.path].replace(edit.new, edit.old, 1)
    return before


def _told(edits: list[Edit]) -> str:
    told = []
    for edit in edits:
        old, new = edit.old.splitlines(), edit.new.splitlines()
        was = " / ".join(line.strip() for line in old if line not in new)
        now = " / ".join(line.strip() for line in new if line not in old)
        told.append(
            f"In {edit.path}: {was or 'nothing'} -> {now or 'nothing'}."
            if was or now
            else f"Moved lines in {edit.path}."
        )
    return " ".join(told) if told else "Nothing was changed."
