"""What the tools of a request can be used for: which one is a shell, which one replaces text; and calls of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evolve.llm.offline.candidates import Edit
from evolve.syntax import literal

PATH_FIELDS = ("path", "file", "file_path", "filename", "file_name")
OLD_FIELDS = ("old", "old_str", "old_string", "old_text", "search", "find")
NEW_FIELDS = ("new", "new_str", "new_string", "new_text", "replace", "replacement")
SHELL_FIELDS = ("command", "cmd", "script")
SHELL_NAMES = ("bash", "shell", "sh", "terminal", "execute", "run")

SCRIPT = """python3 - <<'CHANGE'
import json
path, old, new = json.loads({data!r})
text = open(path, encoding="utf-8", newline="").read()
if text.count(old) != 1:
    raise SystemExit("error: the old text occurs %d times" % text.count(old))
open(path, "w", encoding="utf-8", newline="").write(text.replace(old, new))
CHANGE"""
SCRIPT_DATA = re.compile(r"^path, old, new = json\.loads\((.*)\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call: the tool's name and its arguments."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hands:
    """The tools found in a request's schemas."""

    shell: tuple[str, str] | None
    """Name of the shell's tool and of its field for the command."""
    editor: tuple[str, str, str, str] | None
    """Name of the tool that replaces text and of its fields: path, old text, new text."""

    def run(self, command: str) -> Call:
        assert self.shell is not None
        return Call(self.shell[0], {self.shell[1]: command})

    def change(self, edit: Edit) -> Call:
        """A call that makes an edit: of the editor, or of a small program through the shell."""
        if self.editor is None:
            return self.run(SCRIPT.format(data=json.dumps(edit)))
        name, path, old, new = self.editor
        return Call(name, {path: edit.path, old: edit.old, new: edit.new})

    def change_and_check(self, edits: Sequence[Edit], check: str) -> Call:
        """One command that makes edits and then checks."""
        return self.run("\n".join([*(SCRIPT.format(data=json.dumps(edit)) for edit in edits), check]))

    def command_of(self, call: Call) -> str | None:
        """The command, if the call is one of the shell."""
        if self.shell is None or call.name != self.shell[0]:
            return None
        command = call.arguments.get(self.shell[1])
        return command if isinstance(command, str) else None

    def edits_of(self, call: Call) -> list[Edit]:
        """The edits that a call makes, if it is one of ours."""
        command = self.command_of(call)
        if command is not None:
            return [Edit(*json.loads(str(literal(data)))) for data in SCRIPT_DATA.findall(command)]
        if self.editor is None or call.name != self.editor[0]:
            return []
        path, old, new = (call.arguments.get(field) for field in self.editor[1:])
        if isinstance(path, str) and isinstance(old, str) and isinstance(new, str):
            return [Edit(path, old, new)]
        return []


def hands_of(tools: object) -> Hands:
    """Find a shell and an editor among a request's tool schemas, by their fields."""
    shell: tuple[str, str] | None = None
    editor: tuple[str, str, str, str] | None = None
    for tool in tools if isinstance(tools, list) else []:
        function = tool.get("function", {}) if isinstance(tool, dict) else {}
        name, parameters = function.get("name"), function.get("parameters")
        properties = parameters.get("properties") if isinstance(parameters, dict) else None
        if not isinstance(name, str) or not isinstance(properties, dict):
            continue
        strings = [
            field for field, about in properties.items() if isinstance(about, dict) and about.get("type") == "string"
        ]
        command = _first(SHELL_FIELDS, strings)
        path, old, new = (_first(fields, strings) for fields in (PATH_FIELDS, OLD_FIELDS, NEW_FIELDS))
        if editor is None and path and old and new and not _choice(properties):
            editor = (name, path, old, new)
        elif command and not (path or _choice(properties)) and (shell is None or name in SHELL_NAMES):
            shell = (name, command)
    return Hands(shell, editor)


def _first(wanted: tuple[str, ...], there: list[str]) -> str | None:
    return next((field for field in wanted if field in there), None)


def _choice(properties: Mapping[str, Any]) -> bool:
    """Whether a tool does one of several things by the value of a field, which would have to be understood."""
    return any(isinstance(about, dict) and "enum" in about for about in properties.values())
