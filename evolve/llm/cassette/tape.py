"""A cassette on disk: a folder with `index.jsonl`, one line an event, and `bodies`, what those lines refer to.

Both files are only ever appended to, each addition by one write, a body before the line that names it: a process may be
killed at any point, and what it leaves can be read up to its last whole line and gone on with. A body is stored once,
however many lines name it, and every message of a conversation is a body of its own, so that the size of a cassette
grows with what was said and not with how often it was sent again.

`bodies` is a row of records: 16 bytes of BLAKE2b of the content, its length in 4 bytes (big-endian), and the content
compressed by zlib. Content is JSON text as UTF-8, cleaned of what has the shape of a key.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from evolve.llm.base import Json, ModelError
from evolve.llm.jsontext import dumps, loads
from evolve.llm.redact import redact

FORMAT = 1
INDEX = "index.jsonl"
BODIES = "bodies"
_HEAD = struct.Struct(">16sI")


class Tape:
    """The two files, locked: for one writer, or for any number of readers. Not thread-safe."""

    def __init__(self, path: Path, *, write: bool) -> None:
        """Raises: `ModelError` if it is not there (to read), in use, or not a cassette of this format."""
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        if write:
            _make(path)
        elif not (path / INDEX).exists():
            raise _refused(f"there is no cassette in {path}: record one with --record {path}")
        self._index = _opened(path / INDEX, write)
        try:
            _lock(self._index, path, write)
            self._bodies = _opened(path / BODIES, write)
        except BaseException:
            os.close(self._index)
            raise
        try:
            self.lines = self._read(write)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Safe to call twice."""
        for file in {self._index, self._bodies} - {-1}:
            os.close(file)
        self._index = self._bodies = -1

    def append(self, line: Json) -> None:
        """Add an event, without keys."""
        _write(self._index, text_of(line) + b"\n")

    def put(self, text: bytes) -> str:
        """Store a content, unless it is there; its name. Keys in it must have been hidden."""
        name = name_of(text)
        if name not in self._places:
            packed = zlib.compress(text, 6)
            start = os.lseek(self._bodies, 0, os.SEEK_END)
            _write(self._bodies, _HEAD.pack(bytes.fromhex(name), len(packed)) + packed)
            self._places[name] = (start + _HEAD.size, len(packed))
        return name

    def has(self, name: str) -> bool:
        """Whether a content of this name is stored."""
        return name in self._places

    def get(self, name: str) -> bytes:
        """Raises: `ModelError` if it is not there or not what was stored."""
        if name not in self._places:
            raise self._lacking(name)
        start, length = self._places[name]
        try:
            text = zlib.decompress(os.pread(self._bodies, length, start))
        except zlib.error:
            text = b""
        if name_of(text) != name:
            raise _refused(f"the body {name} of the cassette {self.path} is not what was recorded: it is damaged")
        return text

    def _read(self, write: bool) -> list[Json]:
        """The events; what was torn by a kill is left out, and cut away if it is to be gone on with."""
        whole_bodies = self._survey()
        content = _content(self._index)
        whole = content.rfind(b"\n") + 1
        lines = []
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                event = json.loads(line)
                kind = event["event"]
            except (ValueError, KeyError, TypeError):
                text = f"line {number} of {self.path / INDEX} is not a line of a cassette: restore or remove it"
                raise _refused(text) from None
            if kind == "session" and event.get("format") != FORMAT:
                text = f"{self.path} has the format {event.get('format')}, this version of Clade reads {FORMAT}"
                raise _refused(text)
            lines.append(event)
        if lines and lines[0]["event"] != "session":
            raise _refused(f"{self.path / INDEX} does not begin as a cassette's index does")
        if write:
            self._check(lines)
            os.ftruncate(self._index, whole)
            os.ftruncate(self._bodies, whole_bodies)
        return lines

    def _check(self, lines: Iterable[Json]) -> None:
        """See that no body is missing: what seems a torn end may be damage in the midst, not to be cut away."""
        for name in (name for line in lines for name in _named(line)):
            if name not in self._places:
                raise self._lacking(name)

    def _lacking(self, name: str) -> ModelError:
        return _refused(f"the cassette {self.path} lacks a body that its index names ({name}): it is damaged")

    def _survey(self) -> int:
        """Find the bodies; where the whole ones end."""
        size, at = os.fstat(self._bodies).st_size, 0
        while at + _HEAD.size <= size:
            digest, length = _HEAD.unpack(os.pread(self._bodies, _HEAD.size, at))
            if at + _HEAD.size + length > size:
                break
            self._places[digest.hex()] = (at + _HEAD.size, length)
            at += _HEAD.size + length
        return at


def text_of(value: object) -> bytes:
    """What is stored of a value: its JSON text without keys."""
    return dumps(_cleaned(value))


def _cleaned(value: object) -> object:
    """Each text is cleaned by itself: in the JSON text of all, a key may end where its quotation mark is needed."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if isinstance(value, dict):
        return {redact(name): _cleaned(each) for name, each in value.items()}
    return value


def name_of(text: bytes) -> str:
    """Under which a content is stored."""
    return blake2b(text, digest_size=16).hexdigest()


def value_of(text: bytes) -> Json:
    value: Json = loads(text)
    return value


def _named(line: Json) -> list[str]:
    """The bodies that a line names."""
    single = [line[field] for field in ("rest", "answer", "body") if field in line]
    return [*line.get("new", ()), *single]


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(f"the cassette's folder {path} cannot be made: {error.strerror}") from None


def _opened(path: Path, write: bool) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _refused(f"the cassette's file {path} cannot be opened: {error.strerror}") from None


def _lock(file: int, path: Path, write: bool) -> None:
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        raise _refused(f"another process is using the cassette {path}: wait for it, or use another one") from None


def _content(file: int) -> bytes:
    size = os.fstat(file).st_size
    parts, at = [], 0
    while at < size and (part := os.pread(file, size - at, at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _write(file: int, content: bytes) -> None:
    """Append by one write; the kernel splits it only where the disk is full or the content is larger than 2 GiB."""
    while content:
        content = content[os.write(file, content) :]


def _refused(text: str) -> ModelError:
    return ModelError(text, kind="refused")
