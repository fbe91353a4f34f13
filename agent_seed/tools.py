"""The agent's hands: a shell and an editor. Each returns what the model is shown."""

from __future__ import annotations

import difflib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections import namedtuple

from . import prompts

COMMAND_SECONDS = 60  # a command that runs longer is killed with all that it started
OUTPUT_HEAD = 5000  # characters kept of the beginning of a long output
OUTPUT_TAIL = 5000  # and of its end
NEAREST_LINES = 3  # shown when the text to replace is not found
POLL_SECONDS = 0.02
DRAIN_SECONDS = 0.2  # for output that is still in the pipe when the shell has ended

ENVIRONMENT = {
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "TERM": "dumb",
    # Two edits in a second can leave a file's size and time as they were: Python would run the first one's bytecode.
    "PYTHONDONTWRITEBYTECODE": "1",
}

Observation = namedtuple("Observation", "text note")  # what the model sees; what the summary counts, or ""


def schema(name, description, required, properties):
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


SCHEMAS = [
    schema("bash", prompts.BASH, ["command"], {"command": {"type": "string", "description": prompts.BASH_COMMAND}}),
    schema(
        "edit",
        prompts.EDIT,
        ["path", "new"],
        {
            "path": {"type": "string", "description": prompts.EDIT_PATH},
            "old": {"type": "string", "description": prompts.EDIT_OLD},
            "new": {"type": "string", "description": prompts.EDIT_NEW},
            "first_line": {"type": "integer", "description": prompts.EDIT_FIRST},
            "last_line": {"type": "integer", "description": prompts.EDIT_LAST},
        },
    ),
]
TYPES = {"string": str, "integer": int, "boolean": bool}


def perform(name, arguments, folder, seconds):
    """Do one tool call; whatever is wrong with it becomes an observation."""
    schemas = {entry["function"]["name"]: entry["function"]["parameters"] for entry in SCHEMAS}
    if name not in schemas:
        return Observation(prompts.UNKNOWN_TOOL.format(name=name, names=", ".join(schemas)), prompts.CALL_REFUSED)
    wrong = mismatch(arguments, schemas[name])
    if wrong:
        return Observation("Error: %s. Nothing was done." % wrong, prompts.CALL_REFUSED)
    given = {field: value for field, value in arguments.items() if value is not None}
    if name == "bash":
        return bash(given["command"], folder, min(seconds, COMMAND_SECONDS))
    try:
        return Observation(edit(folder, **given), "")
    except (OSError, ValueError) as error:
        return Observation("Error: %s. Nothing was changed." % error, prompts.EDIT_FAILED)


def mismatch(arguments, parameters):
    """What is wrong with these arguments, or None."""
    properties = parameters["properties"]
    for field in parameters["required"]:
        if arguments.get(field) is None:
            return "the field %r is missing" % field
    for field, value in arguments.items():
        if field not in properties:
            return "there is no field %r; the fields are: %s" % (field, ", ".join(properties))
        kind = properties[field]["type"]
        if value is not None and type(value) is not TYPES[kind]:
            return "the field %r must be of type %s" % (field, kind)
    return None


def bash(command, folder, seconds):
    """Run a command in a shell of its own. A child in the background may live on, but nobody waits for it."""
    if "\0" in command:
        return Observation("Error: a command cannot hold a NUL character. Nothing was done.", prompts.CALL_REFUSED)
    shell = subprocess.Popen(
        [shutil.which("bash") or "sh", "-c", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=dict(os.environ, **ENVIRONMENT),
    )
    output = Output()
    try:
        listen(shell, output, time.monotonic() + seconds)
    finally:  # also when the agent is told to terminate
        shell.stdout.close()
        timed_out = shell.poll() is None
        if timed_out:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    if timed_out:
        text = "%s[timed out after %d s and was killed]" % (output.text(), seconds)
        return Observation(text, prompts.COMMAND_TIMED_OUT)
    note = prompts.OUTPUT_CUT if output.dropped else ""
    return Observation("%s[exit status %d]" % (output.text(), shell.returncode), note)


def listen(shell, output, deadline):
    """Collect output until the shell has ended (a child of it may hold the pipe open) or the time is up."""
    pipe = shell.stdout.fileno()
    while time.monotonic() < deadline:
        ended = shell.poll() is not None
        if ended:
            deadline = min(deadline, time.monotonic() + DRAIN_SECONDS)
        if select.select([pipe], [], [], 0 if ended else POLL_SECONDS)[0]:
            data = os.read(pipe, 65536)
            if not data:
                try:
                    shell.wait(max(0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
                return
            output.add(data)
        elif ended:
            return


class Output:
    """The head and the tail of a stream of any length."""

    def __init__(self):
        self.head = self.tail = b""
        self.dropped = 0

    def add(self, data):
        room = max(0, OUTPUT_HEAD - len(self.head))
        self.head += data[:room]
        self.tail += data[room:]
        extra = len(self.tail) - OUTPUT_TAIL
        if extra > 0:
            self.tail = self.tail[extra:]
            self.dropped += extra

    def text(self):
        """All of it, or head and tail with a note between; ends with a newline unless empty."""
        note = b"\n[%d bytes left out]\n" % self.dropped if self.dropped else b""
        text = (self.head + note + self.tail).decode("utf-8", "replace")
        return text if not text or text.endswith("\n") else text + "\n"


def edit(folder, path, new, old=None, first_line=None, last_line=None):
    """Create a file, or replace text or lines of one; says what was done. Raises OSError, ValueError."""
    target = os.path.realpath(os.path.join(folder, path))
    by_lines = first_line is not None or last_line is not None
    if old is None and not by_lines:
        if os.path.exists(target):
            raise ValueError("%s exists already; give `old` or line numbers to change it" % path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        write(target, new)
        return "Created %s (%d lines)." % (path, len(new.splitlines()))
    if old is not None and by_lines:
        raise ValueError("give `old` or line numbers, not both")
    text = read(target)
    if "\r\n" in text:  # the model writes \n; the file keeps its own line ends
        new = windows(new)
        old = old if old is None else windows(old)
    start, end = find(text, old, path) if old is not None else span(text, first_line, last_line)
    if by_lines and new and text[start:end].endswith("\n") and not new.endswith("\n"):
        new += "\r\n" if "\r\n" in text else "\n"
    write(target, text[:start] + new + text[end:])
    first = text.count("\n", 0, start) + 1
    return "Edited %s at line %d." % (path, first)


def find(text, old, path):
    """Where the text to replace is. It must be there once; else the error helps to find it."""
    if not old:
        raise ValueError("`old` is empty")
    count = text.count(old)
    if count == 1:
        start = text.index(old)
        return start, start + len(old)
    if count:
        starts = [i for i in range(len(text)) if text.startswith(old, i)]
        numbers = ", ".join(str(text.count("\n", 0, i) + 1) for i in starts)
        raise ValueError("`old` occurs %d times in %s, at lines %s; add lines around it" % (count, path, numbers))
    lines = text.splitlines()
    wanted = max(old.splitlines(), key=len)
    near = difflib.get_close_matches(wanted, lines, NEAREST_LINES, 0.4)
    shown = "".join("\n%6d\t%s" % (i, line) for i, line in enumerate(lines, 1) if line in near)
    raise ValueError("`old` was not found in %s%s" % (path, "; the nearest lines are:" + shown if shown else ""))


def span(text, first_line, last_line):
    """Where lines first to last are, with their line ends."""
    lines = text.splitlines(keepends=True)
    first = last_line if first_line is None else first_line
    last = first_line if last_line is None else last_line
    if not 1 <= first <= last <= len(lines):
        raise ValueError("there are no lines %d to %d; the file has %d" % (first, last, len(lines)))
    start = len("".join(lines[: first - 1]))
    return start, start + len("".join(lines[first - 1 : last]))


def windows(text):
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def read(path):
    """A file's text with its own line ends; bytes that are not UTF-8 survive a write."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def write(path, text):
    """Replace a file at once, so that a kill leaves the old one or the new one."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
        os.chmod(temporary, os.stat(path).st_mode & 0o7777 if os.path.exists(path) else 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def check_schemas():
    """Raise ValueError where a schema is not one that models accept."""
    for entry in SCHEMAS:
        function = entry["function"]
        properties = function["parameters"]["properties"]
        if not (function["name"] and function["description"] and properties):
            raise ValueError("a tool needs a name, a description and parameters: %r" % function)
        for field, described in properties.items():
            if described.get("type") not in TYPES or not described.get("description"):
                raise ValueError("%s.%s needs a known type and a description" % (function["name"], field))
        missing = [field for field in function["parameters"]["required"] if field not in properties]
        if missing:
            raise ValueError("%s requires unknown fields %s" % (function["name"], missing))
