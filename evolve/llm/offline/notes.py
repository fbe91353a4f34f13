"""What the messages of a conversation show: the files seen, the edits made, the commands run and what they printed.

The model has no other memory. What an agent drops or mangles is forgotten here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from evolve.llm.offline.candidates import Edit
from evolve.llm.offline.hands import Call, Hands

NUMBERED = re.compile(r"^ *(\d+)\t(.*)$")
"""A line as `cat -n` prints it."""
END_MARK = "[end of {path}]"
READ = re.compile(r"^cat -n (\S+)(?: \| sed -n '\d+,\d+p')?; echo '\[end of ")
FAILED = re.compile(
    r"\berror\b|not found|no such|no match|fail|exit (?:status|code):? *[1-9]|occurs \d+ times", re.IGNORECASE
)
ENDLESS = re.compile(r"timed? ?out|\[exit 124\]", re.IGNORECASE)
CHECK_END = '; echo "[exit $?]"'
"""How the commands end whose exit status the model wants to see."""


def read_command(path: str, lines: tuple[int, int] | None = None) -> str:
    part = f" | sed -n '{lines[0]},{lines[1]}p'" if lines else ""
    return f"cat -n {path}{part}; echo '{END_MARK.format(path=path)}'"


@dataclass
class View:
    """What is known of one file."""

    lines: dict[int, str] = field(default_factory=dict)
    ended: bool = False
    """Whether its end was seen."""

    @property
    def gap(self) -> tuple[int, int] | None:
        """The first lines that were not seen yet: from, to. None if all were."""
        if not self.lines:
            return None if self.ended else (1, 60)
        last = max(self.lines)
        first = next((number for number in range(1, last + 1) if number not in self.lines), None)
        if first is None:
            return None if self.ended else (last + 1, last + 60)
        following = min(number for number in self.lines if number > first)
        return first, min(following - 1, first + 59)

    @property
    def text(self) -> str:
        return "".join(self.lines[number] + "\n" for number in sorted(self.lines))

    def see(self, observation: str, path: str) -> None:
        """Take in what a `read_command` printed; a line next to a gap may be cut and does not count."""
        mark = END_MARK.format(path=path)
        ended = mark in observation
        lines = observation.replace(mark, "\n").split("\n")
        numbered = {int(found.group(1)): found.group(2) for line in lines if (found := NUMBERED.match(line))}
        for number in sorted(numbered):
            first, last = number - 1 in numbered, number + 1 in numbered
            whole_start = first or number == min(numbered)
            whole_end = last or (number == max(numbered) and ended)
            if whole_start and whole_end:
                self.lines[number] = numbered[number]
        self.ended = self.ended or ended


HEADING = re.compile(r"^(#+) +(.*)$", re.MULTILINE)
TOLD = re.compile(r"issue|problem|bug|symptom|task", re.IGNORECASE)


def told_problem(text: str) -> str:
    """The part of a text under a heading such as "Issue" or "Problem"; all of it where there is none."""
    headings = list(HEADING.finditer(text))
    for i, heading in enumerate(headings):
        if TOLD.search(heading[2]):
            following = (h.start() for h in headings[i + 1 :] if len(h[1]) <= len(heading[1]))
            return text[heading.end() : next(following, len(text))].strip()
    return text


@dataclass
class Notes:
    """What a conversation shows up to now."""

    issue: str = ""
    """What the user said before the first answer."""
    opening: str = ""
    """The issue and the system message."""
    turns: int = 0
    commands: list[tuple[str, str]] = field(default_factory=list)
    """Every command that was neither a reading nor an edit, with what is still seen of its output, in order."""
    views: dict[str, View] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """Files known completely, as they are now."""
    tried: set[Edit] = field(default_factory=set)
    hung: set[Edit] = field(default_factory=set)
    """Edits after which the check did not end in time."""
    pending: list[Edit] = field(default_factory=list)
    """Edits that were made and not undone."""
    check: tuple[str, str] | None = None
    """The last command run since the last edit, with its output."""
    baseline: str | None = None
    """Output of the last check run with no edit pending."""
    fruitless: int = 0
    """Readings in a row that showed nothing new."""
    said: str = ""
    """What the model itself said last."""

    def made(self, edit: Edit, observation: str | None) -> None:
        """Take note of an edit and of what the tool said about it."""
        self.tried.add(edit)
        self.check = None
        self.views.pop(edit.path, None)
        text = self.texts.pop(edit.path, None)
        if observation is None or FAILED.search(observation):
            return
        if text is not None and text.count(edit.old) == 1:
            self.texts[edit.path] = text.replace(edit.old, edit.new)
        if edit.undone in self.pending:
            self.pending.remove(edit.undone)
        else:
            self.pending.append(edit)

    def ran(self, command: str, output: str) -> None:
        """Take note of a command and what it printed."""
        self.commands.append((command, output))
        if command.endswith(CHECK_END):
            self.check = (command, output)
            if not self.pending:
                self.baseline = output
            elif ENDLESS.search(output):
                self.hung.add(self.pending[-1])

    def saw(self, path: str, observation: str) -> None:
        """Take in what a reading showed."""
        view = self.views.setdefault(path, View())
        before = len(view.lines)
        view.see(observation, path)
        self.fruitless = 0 if len(view.lines) > before else self.fruitless + 1
        if view.gap is None:
            self.texts[path] = view.text


def take_notes(messages: object, hands: Hands) -> Notes:
    """Read a conversation from its beginning."""
    notes = Notes()
    waiting: list[tuple[str, Call]] = []
    for message in messages if isinstance(messages, list) else []:
        role, content = message.get("role"), _plain(message.get("content"))
        if role == "assistant":
            notes.turns += 1
            notes.said = content
            _observe(notes, hands, waiting, [])
            waiting = _calls(message.get("tool_calls"))
        elif notes.turns == 0:
            notes.opening += content + "\n"
            notes.issue += content + "\n" if role == "user" else ""
        elif waiting and role == "tool" and message.get("tool_call_id") in [id for id, _ in waiting]:
            while waiting and waiting[0][0] != message["tool_call_id"]:
                _observe(notes, hands, waiting[:1], [])
                waiting = waiting[1:]
            _observe(notes, hands, waiting[:1], [content])
            waiting = waiting[1:]
        elif waiting:  # an agent that shows observations in its own way
            _observe(notes, hands, waiting, [content])
            waiting = []
    _observe(notes, hands, waiting, [])
    notes.issue = told_problem(notes.issue)
    return notes


def _observe(notes: Notes, hands: Hands, calls: Sequence[tuple[str, Call]], contents: Sequence[str]) -> None:
    for _, call in calls:
        observation = contents[0] if contents else None
        command, edits = hands.command_of(call), hands.edits_of(call)
        for edit in edits:
            notes.made(edit, observation if command is None else _about_edits(observation))
        if command is not None and (not edits or command.endswith(CHECK_END)):
            reading = READ.match(command)
            if reading:
                notes.saw(reading.group(1), observation or "")
            else:
                notes.ran(command, observation or "")


def _about_edits(observation: str | None) -> str | None:
    """Of what a command printed that made edits and may have checked them: what concerns the edits."""
    if observation is None:
        return None
    return "\n".join(re.findall(r"^error: the old text occurs.*$|^\w*Error: .*$", observation, re.MULTILINE)[:1])


def _calls(tool_calls: object) -> list[tuple[str, Call]]:
    found = []
    for call in tool_calls if isinstance(tool_calls, list) else []:
        function = call.get("function") or {}
        try:
            arguments = json.loads(function.get("arguments") or "{}")
        except (TypeError, ValueError):
            arguments = {}
        if isinstance(arguments, dict):
            found.append((str(call.get("id")), Call(str(function.get("name")), arguments)))
    return found


def _plain(content: object) -> str:
    """The text of a message's content, which may be a string or a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
