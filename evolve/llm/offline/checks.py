"""Which command checks the work: read out of the words of the messages, as a person would find it there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from evolve.llm.offline.notes import CHECK_END

SECONDS = 4
"""A check that runs longer has failed: most programs that are about to be repaired can be sent round for ever."""
PROGRAMS = r"(?:\S*/)?(?:python[\d.]*|pytest|make|bash|sh|tox|nox|npm|node|go|cargo|\./\S+)"
COMMAND = re.compile(rf"^(?:\w+=\S+ )*{PROGRAMS}(?: .*)?$")
SPOKEN = re.compile(r"`([^`\n]+)`|^(?: {4,}|\t|\$ )(\S.*)$|: *([^\n]+)$", re.MULTILINE)
TELLING = re.compile(r"test|check|verif|assert", re.IGNORECASE)


def check_command(opening: str, files: Sequence[str]) -> str | None:
    """The command that the messages name for testing or checking; else one for a test file that is there; else None."""
    best, best_score = None, 0
    for found in SPOKEN.finditer(opening):
        command = next(part for part in found.groups() if part).strip().strip("`")
        command = re.sub(r"(?<=\w)\.$", "", command)
        if COMMAND.match(command):
            before = opening[max(0, found.start() - 80) : found.start()]
            score = 2 * len(TELLING.findall(command)) + len(TELLING.findall(before))
            if score > best_score:
                best, best_score = command, score
    if best:
        return best
    tests = [path for path in files if is_test(path)]
    return f"python -m pytest -q {shlex.quote(tests[0])}" if tests else None


def is_test(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return (
        name.startswith(("test", "conftest")) or name.endswith(("test.py", "check.py", "checks.py")) or "tests/" in path
    )


def bounded(command: str) -> str:
    """The command as the model runs it: with an end, and with its exit status in sight."""
    simple = re.fullmatch(r"[\w./:=@%+, -]+", command) and "=" not in command.split()[0]
    return f"timeout {SECONDS} {command if simple else 'sh -c ' + shlex.quote(command)}{CHECK_END}"


def passed(output: str) -> bool:
    return "[exit 0]" in output
