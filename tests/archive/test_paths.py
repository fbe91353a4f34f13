"""Which file paths the archive takes."""

from __future__ import annotations

import pytest

from archive import ArchiveError, check_path

REFUSED = [
    "", "/etc/passwd", "C:/x", "c:x", "../x", "a/../b", "a/./b", ".", "..", "a//b", "a/", "a\\..\\b", "nul\0.py",
    ".git", ".git/config", "a/.git/hooks/pre-commit", ".GIT/x", ".gIt", ".git ", ".git.", ".git...  /x",
    "a\\.git\\config", "git~1", "GIT~1/config", "a/Git~2", ".git::$INDEX_ALLOCATION/x", ".git:x", ".g\u200cit/x",
    "\ufeff.git", ".GI\u202eT", "x" * 1025, "/".join("d" * 33), "\ud800.py",
]  # fmt: skip
TAKEN = [
    "__main__.py", "tools/bash.py", ".gitignore", ".github/workflows/ci.yml", "git", "a.git/x", "naïve.py",
    "日本/語.py", "with space.py", "line\nbreak", "...", "..a", "git~", "x" * 1024, "\udcff.bin",
]  # fmt: skip


@pytest.mark.parametrize("path", REFUSED, ids=ascii)
def test_refused(path: str) -> None:
    with pytest.raises(ArchiveError, match="the file"):
        check_path(path)


@pytest.mark.parametrize("path", TAKEN, ids=ascii)
def test_taken(path: str) -> None:
    check_path(path)
