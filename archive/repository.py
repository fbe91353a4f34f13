"""The agents' code: a bare git repository with a commit per agent, its parent commit being its parent's.

Objects are written in process, in git's own format, each flushed to the disk before it gets its name: a row in the
database must never point at a commit that a power cut took away. There is no work tree, no index, no hook and no git
process, so no configuration of the machine or of a user has any say. Reading goes through gitdb, which also
understands what `git gc` makes of the repository if a person runs it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from gitdb import GitDB
from gitdb.exc import BadObject

from archive.errors import ArchiveError
from archive.paths import check_path

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\thooksPath = /dev/null
\tfsmonitor = false
\tprotectNTFS = true
\tprotectHFS = true
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
_IDENTITY = "clade <clade@localhost>"
_FILE, _FOLDER = b"100644", b"40000"

# A folder of a tree under construction: name to content, or to a folder.
_Folder = dict[bytes, "bytes | _Folder"]


class Repository:
    """A bare repository that only this class writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Repository:
        """Make the repository, or complete one whose making was cut off; what is there already is kept."""
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        _write_file(path / "config", _CONFIG.encode())
        _write_file(path / "HEAD", b"ref: refs/heads/agent-0\n")
        return cls(path)

    def commit(self, files: Mapping[str, bytes], parent: str | None, message: str, when: datetime) -> tuple[str, str]:
        """Store a tree of files as a commit; its hash and the tree's. No ref points at it yet (see `mark`).

        Raises: `ArchiveError` for a path that may not be stored, a path that is both file and folder, or an empty tree.
        """
        tree = self._write_tree(_nest(files))
        stamp = f"{int(when.timestamp())} +0000"
        lines = [f"tree {tree}"]
        if parent is not None:
            lines.append(f"parent {parent}")
        lines += [f"author {_IDENTITY} {stamp}", f"committer {_IDENTITY} {stamp}", "", message.rstrip() + "\n"]
        return self._write("commit", "\n".join(lines).encode("utf-8", "replace")), tree

    def mark(self, agent: int, commit: str) -> None:
        """Point the branch `agent-<id>` at a commit, so that `git log --all` shows it and no `git gc` takes it."""
        _write_file(self.path / "refs" / "heads" / f"agent-{agent}", f"{commit}\n".encode())

    def marked(self) -> frozenset[int]:
        """Ids of the agents that have their branch, loose or packed."""
        names = [entry.name for entry in os.scandir(self.path / "refs" / "heads")]
        packed = self.path / "packed-refs"
        if packed.exists():
            names += re.findall(r"^[0-9a-f]+ refs/heads/(.+)$", packed.read_text("utf-8", "replace"), re.MULTILINE)
        return frozenset(int(name[6:]) for name in names if re.fullmatch(r"agent-\d+", name))

    def files(self, commit: str) -> dict[str, bytes]:
        """All files of a commit, byte for byte, by path. Raises: `ArchiveError` if any object is missing."""
        objects = GitDB(str(self.path / "objects"))  # a new one each time: it keeps caches and handles of packs
        head = _read(objects, commit).split(b"\n", 1)[0]
        found: dict[str, bytes] = {}
        folders = [("", head.removeprefix(b"tree ").decode("ascii"))]
        while folders:
            prefix, tree = folders.pop()
            for mode, name, sha in _entries(_read(objects, tree)):
                path = prefix + name.decode("utf-8", "surrogateescape")
                if mode == _FOLDER:
                    folders.append((path + "/", sha))
                else:
                    found[path] = _read(objects, sha)
        return dict(sorted(found.items()))

    def _write_tree(self, folder: _Folder) -> str:
        entries = []
        for name, content in folder.items():
            if isinstance(content, bytes):
                entries.append((name, _FILE, name, self._write("blob", content)))
            else:
                # Git sorts a folder as if its name ended in a slash.
                entries.append((name + b"/", _FOLDER, name, self._write_tree(content)))
        data = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(sha) for _, mode, name, sha in sorted(entries))
        return self._write("tree", data)

    def _write(self, kind: str, data: bytes) -> str:
        data = f"{kind} {len(data)}\0".encode() + data
        sha = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        path = self.path / "objects" / sha[:2] / sha[2:]
        if not path.exists():
            if not path.parent.exists():
                path.parent.mkdir()
                _flush_folder(path.parent.parent)
            _write_file(path, zlib.compress(data, 1), mode=0o444)
        return sha


def _nest(files: Mapping[str, bytes]) -> _Folder:
    """Paths as nested folders."""
    if not files:
        raise ArchiveError("an agent without files cannot be stored")
    root: _Folder = {}
    for path, content in files.items():
        check_path(path)
        *folders, name = path.encode("utf-8", "surrogateescape").split(b"/")
        here = root
        for folder in folders:
            inner = here.setdefault(folder, {})
            if isinstance(inner, bytes):
                raise ArchiveError(f"the path {path!a} goes through a file")
            here = inner
        if name in here:
            raise ArchiveError(f"the path {path!a} is both a file and a folder")
        here[name] = content
    return root


def _entries(tree: bytes) -> list[tuple[bytes, bytes, str]]:
    """Mode, name and hash of a tree object's entries."""
    entries = []
    at = 0
    while at < len(tree):
        zero = tree.index(b"\0", at)
        mode, name = tree[at:zero].split(b" ", 1)
        entries.append((mode, name, tree[zero + 1 : zero + 21].hex()))
        at = zero + 21
    return entries


def _read(objects: GitDB, sha: str) -> bytes:
    try:
        content: bytes = objects.stream(bytes.fromhex(sha)).read()
    except BadObject:
        raise ArchiveError(f"agents.git lacks the object {sha}; restore the run folder from a complete copy") from None
    return content


def _write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that after any crash it is there whole, or as it was before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
