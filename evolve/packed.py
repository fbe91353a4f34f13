"""Records as bytes, for moves that a replay takes over because it could not bring them about again."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict

from archive import Call, Outcome
from evolve.jobs import Record


def packed(record: Record) -> bytes:
    fields = asdict(record)
    fields["files"] = _texts(record.files)
    fields["child"] = None if record.child is None else _texts(record.child)
    return json.dumps(fields, ensure_ascii=True).encode()


def unpacked(content: bytes) -> Record:
    fields = json.loads(content)
    fields["outcome"] = Outcome(fields["outcome"])
    fields["calls"] = tuple(Call(**call) for call in fields["calls"])
    fields["files"] = _contents(fields["files"])
    fields["child"] = None if fields["child"] is None else _contents(fields["child"])
    return Record(**fields)


def _texts(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: b64encode(content).decode() for path, content in files.items()}


def _contents(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: b64decode(text) for path, text in files.items()}
