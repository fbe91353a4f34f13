"""The Python that a bubblewrap box sees: the running interpreter and its standard library, and no package.

The host's packages are hidden because they may hold answers (a benchmark installed next to us), and so that code
behaves the same on every machine.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "/opt/python"
"""Where the interpreter is bound in the box when the host's is not under /usr."""
BIN = "/opt/bin"
"""First on the box's PATH; holds `python` and `python3`."""
LIB = "/opt/lib"
"""Holds the interpreter's shared library where it has one that the loader would look for at the host's path."""

_SYSTEM_PACKAGES = (
    "lib/python3*/dist-packages",
    "lib/python3*/site-packages",
    "lib64/python3*/site-packages",
    "local/lib/python3*/dist-packages",
    "local/lib/python3*/site-packages",
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Where things are on the host."""

    prefix: Path
    version: str
    """Such as `3.11`."""
    library: Path | None = None
    """The shared library, if the interpreter needs one."""

    @classmethod
    def running(cls) -> Interpreter:
        prefix = Path(sys.base_prefix)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        name = sysconfig.get_config_var("INSTSONAME") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None
        library = prefix / "lib" / name if name else None
        return cls(prefix, version, library if library is not None and library.exists() else None)

    @property
    def foreign(self) -> bool:
        """Is it outside /usr, which every box sees anyway?"""
        return not self.prefix.is_relative_to("/usr")

    def arguments(self, prefix: Path) -> Iterator[str]:
        """bwrap's arguments that bring it in; bwrap finds our prefix at `prefix`, which this thread may not see."""
        inside = f"{PREFIX if self.foreign else self.prefix}/bin/python{self.version}"
        if self.foreign:
            yield from ("--ro-bind", str(prefix), PREFIX)
            yield from _hidden(self.prefix, "lib*/python3*/*-packages", PREFIX)
            if self.library is not None:
                yield from ("--ro-bind", str(prefix / "lib" / self.library.name), f"{LIB}/{self.library.name}")
        for pattern in _SYSTEM_PACKAGES:
            yield from _hidden(Path("/usr"), pattern, "/usr")
        for name in ("python", "python3", f"python{self.version}"):
            yield from ("--symlink", inside, f"{BIN}/{name}")

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": LIB} if self.foreign and self.library is not None else {}


def _hidden(host: Path, pattern: str, inside: str) -> Iterator[str]:
    """Cover folders with empty ones."""
    for folder in sorted(host.glob(pattern)):
        if folder.is_dir() and not folder.is_symlink():
            place = f"{inside}/{folder.relative_to(host)}"
            yield from ("--size", "4096", "--tmpfs", place, "--remount-ro", place)
