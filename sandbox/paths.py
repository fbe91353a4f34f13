"""Which relative paths a stranger may name: one rule for everything that leaves a box."""

from __future__ import annotations

import re
import unicodedata

MAX_PATH = 512
"""Bytes of a whole relative path, in UTF-8. Far above real repositories, far below the kernel's 4096."""

SKIPPED = frozenset({".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".cache"})
"""Folders that a snapshot leaves out: caches of running programs, and histories."""

_MAX_PART = 255
# Control, format (bidi overrides, zero-width: HFS+ ignores some of them in names), lone surrogates, line separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NTFS_SHORT_GIT = re.compile(r"git~\d+")


def refusal(path: str) -> str | None:
    """Why a relative path is not acceptable, or None if it is.

    Absolute paths, empty, `.` and `..` parts, backslashes, unprintable characters, over-long names, and every spelling
    of `.git` that some file system takes for it (case, trailing dots and spaces, streams, `git~1`) are refused.
    """
    if len(path) > MAX_PATH or len(path.encode(errors="surrogatepass")) > MAX_PATH:
        return f"path longer than {MAX_PATH} bytes"
    if any(unicodedata.category(character) in _UNPRINTABLE for character in path):
        return "unprintable character in the path"
    if path.startswith("/"):
        return "absolute path"
    if "\\" in path:
        return "backslash in the path"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"path with a part {part!r}"
        if len(part.encode()) > _MAX_PART:
            return f"name longer than {_MAX_PART} bytes"
        if _is_git(part):
            return "path into a .git folder"
    return None


def _is_git(part: str) -> bool:
    name = unicodedata.normalize("NFKC", part).casefold().partition(":")[0].rstrip(" .")
    return name == ".git" or _NTFS_SHORT_GIT.fullmatch(name) is not None
