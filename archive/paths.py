"""Which paths an agent's file may have in the archive: relative, plain, and never git's own folder in any disguise."""

from __future__ import annotations

import re

from archive.errors import ArchiveError

MAX_PARTS = 32
"""Depth of a path; deeper ones are nobody's source code, and would exhaust the stack of whoever walks the tree."""
MAX_BYTES = 1024
"""Length of a path in UTF-8."""

# Code points that HFS+ ignores in names, so that `.g<U+200C>it` is `.git` there (git's own list, utf8.c).
_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
# What NTFS takes for `.git`: its short names, trailing dots and spaces, and alternate streams.
_GIT_ON_NTFS = re.compile(r"(\.git|git~[0-9]+)[ .]*(:.*)?", re.IGNORECASE | re.DOTALL)


def check_path(path: str) -> None:
    """Raise `ArchiveError` unless `path` is relative, of sane size, without empty, `.`, `..` or `.git` parts and NUL.

    `.git` is refused in any case and in the disguises of NTFS and HFS+, a backslash counting as a separator there, so
    that a person who checks an agent out on any system gets its files and nothing of git's.
    """
    parts = re.split(r"[/\\]", path)
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        raise ArchiveError(f"the file {path!a} has an absolute path; an agent's files are relative to its folder")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ArchiveError(f"the file {path!a} has an empty, '.', '..' or NUL part in its path")
    try:
        size = len(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise ArchiveError(f"the file {path!a} has a name that no file system stores") from None
    if size > MAX_BYTES or len(parts) > MAX_PARTS:
        raise ArchiveError(
            f"the file {path[:80]!a}… is over {MAX_PARTS} folders deep or has a path over {MAX_BYTES} bytes"
        )
    if any(_GIT_ON_NTFS.fullmatch(_IGNORED_BY_HFS.sub("", part)) for part in parts):
        raise ArchiveError(f"the file {path!a} lies in a folder that git, on some system, takes for its own")
