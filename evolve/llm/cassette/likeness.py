"""When two requests are the same call: equal but for what differs between two runs and means nothing.

A test runner says how long it took, a traceback names a temporary folder, an object is printed with its address. A
replayed rollout makes its tests run again, so such words come out differently, and without this every replay of real
tasks would miss. They are made equal here for comparing alone: what is sent and what is stored is never touched.

The list is short on purpose, and bound to the very words in which well-known tools say such things: `time: 5 s` or
`12:30:00` alone may be what a program under test computes, so they are left as they are, and so is every bare number,
version, line and date. A doubtful pattern does not belong here: its price is a replay that goes on where it
should stop.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple

from evolve.llm.base import Json
from evolve.llm.cassette.tape import text_of, value_of
from evolve.llm.jsontext import dumps

_SHORT = r"\d+(?:\.\d+)?(?:ns|µs|us|ms|s)"
"""A duration as programs print it without a space: `0.03s`, `12ms`."""
_COUNTED = (
    r"(?:passed|failed|errors?|skipped|deselected|xfailed|xpassed|warnings?|rerun|no tests ran|no tests collected)"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"


class Meaningless(NamedTuple):
    """Words of a known tool that a clock, an address or a random name stands in."""

    whose: str
    example: str
    pattern: re.Pattern[str]
    instead: str
    """What stands in its place for comparing."""


def _words(whose: str, example: str, pattern: str, instead: str) -> Meaningless:
    return Meaningless(whose, example, re.compile(pattern, re.MULTILINE), instead)


MEANINGLESS = (
    # Durations of test runners and of what builds for them
    _words(
        "pytest's last line",
        "3 passed, 1 failed in 61.20s (0:01:01)",
        rf"\b({_COUNTED} in )\d+\.\d\ds\b(?: \(\d+:\d\d:\d\d\))?",
        r"\1<duration>",
    ),
    _words(
        "pytest's slowest tests",
        "0.02s call     test_sums.py::test_two",
        r"^\d+\.\d\ds (call|setup|teardown)( +\S+::)",
        r"<duration> \1\2",
    ),
    _words("unittest's last line", "Ran 3 tests in 0.001s", r"^(Ran \d+ tests? in )\d+\.\d{3}s$", r"\1<duration>"),
    _words(
        "Go's tests", "--- FAIL: TestTwo (0.01s)", r"^( *--- (?:PASS|FAIL|SKIP): .*\()\d+\.\d\ds\)$", r"\1<duration>)"
    ),
    _words("Go's packages", "ok  \tsums\t0.003s", r"^((?:ok  |FAIL)\t\S+\t)\d+\.\d{3}s\b", r"\1<duration>"),
    _words(
        "Rust's tests",
        "0 filtered out; finished in 0.01s",
        r"(\bfiltered out; finished in )\d+\.\d\ds$",
        r"\1<duration>",
    ),
    _words(
        "cargo's builds",
        "    Finished `test` profile [unoptimized] target(s) in 1m 02s",
        r"^( +Finished .*target\(s\) in )(?:\d+m )?\d+(?:\.\d+)?s$",
        r"\1<duration>",
    ),
    _words(
        "Jest's last lines",
        "Time:        0.52 s, estimated 1 s",
        r"^Time: {8}[\d.]+ m?s(?:, estimated \d+ m?s)?$",
        "Time:        <duration>",
    ),
    _words(
        "the marks of Jest, Mocha and Node beside a test",
        "    ✓ adds two numbers (3 ms)",
        r"^( *[✓✔✕✖√] .* )\(\d+(?:\.\d+)? ?m?s\)$",
        r"\1(<duration>)",
    ),
    _words("Mocha's last lines", "  3 passing (12ms)", r"^( +\d+ passing )\(\d+m?s\)$", r"\1(<duration>)"),
    _words(
        "Vitest's last lines",
        "   Duration  312ms (transform 20ms)",
        rf"^( +Duration  ){_SHORT}(?: \(.*\))?$",
        r"\1<duration>",
    ),
    _words("Vitest's beginning", "   Start at  14:03:59", r"^( +Start at  )\d\d:\d\d:\d\d$", r"\1<time>"),
    _words("Node's tests", "  duration_ms: 0.52", r"^((?:\s|#|ℹ)*duration_ms:? )\d+(?:\.\d+)?$", r"\1<duration>"),
    _words(
        "Gradle's builds",
        "BUILD SUCCESSFUL in 3s",
        r"^(BUILD (?:SUCCESSFUL|FAILED) in )(?:\d+m )?\d+(?:s|ms)$",
        r"\1<duration>",
    ),
    _words(
        "Maven's tests",
        "Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.02 s",
        r"(\bSkipped: \d+, Time elapsed: )[\d.]+ s\b",
        r"\1<duration>",
    ),
    _words(
        "CTest's tests",
        "1/1 Test #1: sums .......   Passed    0.01 sec",
        r"^( *\d+/\d+ Test +#\d+: .*[.*] *[A-Z].* )\d+\.\d\d sec$",
        r"\1<duration>",
    ),
    _words(
        "CTest's last line",
        "Total Test time (real) =   0.01 sec",
        r"^(Total Test time \(real\) = ) *\d+\.\d\d sec$",
        r"\1<duration>",
    ),
    _words(
        "CMake's steps",
        "-- Configuring done (0.3s)",
        r"^(-- (?:Configuring|Generating) done )\(\d+\.\ds\)$",
        r"\1(<duration>)",
    ),
    _words(
        "GoogleTest's tests",
        "[       OK ] Sums.Two (0 ms)",
        r"^(\[[ A-Z=-]{10}\] .*\()\d+ ms( total)?\)$",
        r"\1<duration>\2)",
    ),
    _words("the shell's `time`", "real\t0m0.003s", r"^(real|user|sys)\t\d+m\d+\.\d{3}s$", r"\1\t<duration>"),
    # Clocks
    _words(
        "logs and `diff -u`: a date with a fraction of a second",
        "2026-11-22T14:03:59.120Z",
        r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d{3,9}(?: ?(?:Z|[+-]\d\d:?\d\d)\b)?",
        "<time>",
    ),
    _words(
        "`ls -l`",
        "-rw-r--r-- 1 me me 120 Nov 22 14:03 sums.py",
        rf"^([-dlbcps][-rwxsStT]{{9}}[.+@]? +\d+ \S+ +\S+ +\d+ ){_MONTH} [ \d]\d (?:\d\d:\d\d| \d{{4}}) ",
        r"\1<time> ",
    ),
    # Addresses, processes and temporary names
    _words("objects of Python", "<Stack object at 0x7f3a5c0d1e50>", r"\bat 0x[0-9a-f]{8,16}>", "at <address>>"),
    _words("addresses of Linux's libraries", "0x7f3a5c0d1e50", r"\b0x7f[0-9a-f]{10}\b", "<address>"),
    _words("addresses of Go's heap", "main.sum({0xc000012345, 0x3})", r"\b0xc000[0-9a-f]{6}\b", "<address>"),
    _words(
        "the shell's word on a crash",
        "bash: line 1:    12 Segmentation fault",
        r"(\bline \d+:) +\d+ (Segmentation fault|Aborted|Killed|Terminated|Floating point exception|Bus error)\b",
        r"\1<pid> \2",
    ),
    _words("Python's temporary files", "/tmp/tmpab12cd34", r"/tmp/tmp[a-z0-9_]{8}(?![A-Za-z0-9_])", "/tmp/<name>"),
    _words("mktemp's files", "/tmp/tmp.aB3dE6gH9j", r"/tmp/tmp\.[A-Za-z0-9]{10}(?![A-Za-z0-9])", "/tmp/<name>"),
    _words("pytest's folders", "/tmp/pytest-of-me/pytest-12", r"(/tmp/pytest-of-[\w.-]+/pytest-)\d+\b", r"\1<number>"),
    _words("Go's folders", "/tmp/go-build123456", r"/tmp/go-build\d+\b", "/tmp/go-build<number>"),
    _words("Rust's folders", "/tmp/rustcAb12Cd", r"/tmp/rustc[A-Za-z0-9]{6}(?![A-Za-z0-9])", "/tmp/rustc<name>"),
    # Our own
    _words(
        "a transcript's line on a call, as a diagnosis reads it",
        "310 + 20 tokens, $0.0012, 3.1 s, 2 retries, ok",
        r"(tokens, \$\d+\.\d{4}), \d+\.\d s(?:, \d+ retries)?, ",
        r"\1, <duration>, ",
    ),
)


def alike(text: str) -> str:
    """`text` with the meaningless words made equal."""
    for words in MEANINGLESS:
        text = words.pattern.sub(words.instead, text)
    return text


def compared(message: Json) -> Json:
    """A message as it is compared.

    Only what an agent was shown has meaningless words. What the model itself said was replayed, and the house's own
    words do not change: there every character counts.
    """
    if message.get("role") not in ("tool", "user"):
        return message
    return {**message, "content": _alike(message.get("content"))}


def likeness(text: bytes) -> str:
    """A short name that is equal for messages which mean the same; `text` is what is stored of one."""
    return blake2b(dumps(compared(value_of(text))), digest_size=16).hexdigest()


def rest_of(request: Json) -> bytes:
    """All of a request but its messages, as it is stored; the order of fields has no meaning."""
    return text_of({name: request[name] for name in sorted(request) if name != "messages"})


def _alike(content: object) -> object:
    """A message's content is a text, a list of parts with texts in them, or nothing."""
    if isinstance(content, str):
        return alike(content)
    if isinstance(content, list):
        return [_alike(each) for each in content]
    if isinstance(content, dict):
        return {name: _alike(each) for name, each in content.items()}
    return content
