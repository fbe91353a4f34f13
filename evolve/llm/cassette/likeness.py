"""When two requests are the same call: equal but for what differs between two runs and means nothing.

A test runner says how long it took, a traceback names a temporary folder, an object is printed with its address. A
replayed rollout makes its tests run again, so such words come out differently, and without this every replay of real
tasks would miss. They are made equal here for comparing alone: what is sent and what is stored is never touched.

The list is short on purpose. Everything in it is bound to words that only clocks, addresses and temporary names stand
in; a bare number, a version, a line, a date in ISO form without a time of day is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from evolve.llm.cassette.tape import text_of

_NUMBER = r"\d+(?:\.\d+)?"

MEANINGLESS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "durations: `in 0.03s`, `in 1.204 seconds`, `took 12ms`, `Time: 0.52 s`, `(0.00s)`, `finished in 1m2.5s`",
        re.compile(
            rf"(?i)\b((?:in|took|time|elapsed|duration|real|user|sys):?(?:\s|\\t|\\n)+)(?:\d+m ?)?{_NUMBER} ?"
            r"(?:ns|µs|us|ms|s|secs?|seconds?|milliseconds?)\b"
        ),
        r"\1<duration>",
    ),
    (
        "durations in brackets: `(0.00s)`, `(3 ms)`",
        re.compile(rf"([(\[]){_NUMBER} ?(?:ns|µs|us|ms|s)([)\]])"),
        r"\1<duration>\2",
    ),
    (
        "Go's durations at the end of a package's line: `ok  \\tsums\\t0.003s`",
        re.compile(r"((?:ok|FAIL)(?:\s|\\t)+\S+?(?:\s|\\t)+)\d+\.\d+s\b"),
        r"\1<duration>",
    ),
    (
        "times of day, with or without a date: `14:03:59`, `2026-11-22T14:03:59.120Z`, `Nov 22 14:03`",
        re.compile(
            r"(?:\b(?:\d{4}-\d\d-\d\d[ T]|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d )"
            r"\d\d:\d\d(?::\d\d)?|\b\d\d:\d\d:\d\d)(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d)\b)?"
        ),
        "<time>",
    ),
    (
        "addresses of objects: `at 0x7f3a5c0d1e50`",
        re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b"),
        "at <address>",
    ),
    (
        "temporary files and folders: `/tmp/tmpab12cd34`, `/tmp/pytest-of-user/pytest-12`, `/tmp/go-build123456`",
        re.compile(r"/tmp/(?:tmp[a-z0-9_]{8}|pytest-of-[\w.-]+/pytest-\d+|go-build\d+|rustc\w+|tmp\.\w{6,12})"),
        "/tmp/<name>",
    ),
    (
        "numbers of processes: `pid 4711`, `[pid=4711]`",
        re.compile(r"(?i)\b(pid[ :=]+)\d+\b"),
        r"\1<pid>",
    ),
    (
        "clocks of the house's own transcripts: `$0.0012, 3.1 s, 2 retries, replayed`",
        re.compile(rf"(tokens, \$\d+\.\d{{4}}), {_NUMBER} s(?:, \d+ retries)?, (?:ok|replayed)\b"),
        r"\1",
    ),
)
"""What is alike, in words; where it stands; what stands in its place for comparing."""


def alike(text: str) -> str:
    """`text` with the meaningless words made equal."""
    for _, pattern, replacement in MEANINGLESS:
        text = pattern.sub(replacement, text)
    return text


def likeness(message: Mapping[str, Any], text: bytes) -> str:
    """A short name that is equal for messages which mean the same; `text` is what is stored of it.

    Only what an agent was shown is compared so. What the model itself said was replayed, and the house's own words do
    not change: there every character counts.
    """
    shown = message.get("role") in ("tool", "user")
    return blake2b(alike(text.decode()).encode() if shown else text, digest_size=16).hexdigest()


def rest_of(request: Mapping[str, Any]) -> bytes:
    """All of a request but its messages, as it is stored; the order of fields has no meaning."""
    return text_of({name: request[name] for name in sorted(request) if name != "messages"})
