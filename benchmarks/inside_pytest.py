"""Runs inside a box: start pytest with nothing of the judged tree honoured but the modules that the tests import.

    python -I -S inside_pytest.py FOLDER TESTS INI JUNIT MODULE...

`-I -S` leaves only the standard library on the path: no `sitecustomize`, no `.pth` file, no environment variable and no
installed plug-in has a say. pytest comes from this file's own folder and is imported before FOLDER, the judged tree,
becomes importable, so nothing in it can stand in for pytest. No conftest, ini file or plug-in of the tree is read.
"""

from __future__ import annotations

import sys

PLUGINS_OFF = (
    "cacheprovider", "doctest", "faulthandler", "legacypath", "logging", "pastebin", "setuponly",
    "setupplan", "stepwise", "threadexception", "unraisableexception",
)  # fmt: skip
"""Parts of pytest that no hidden test needs and that cost time at every start."""


def main(folder: str, tests: str, ini: str, junit: str, modules: list[str]) -> int:
    sys.path.insert(0, __file__.rpartition("/")[0])
    import pytest

    sys.path[:0] = [folder, tests]
    arguments = ["-c", ini, "--rootdir", tests, "--junitxml", junit, "--noconftest", "--import-mode=importlib"]
    arguments += ["--assert=plain", "--capture=no", "--tb=no", "-q", "--no-header", "--no-summary", "-o", "addopts="]
    arguments += [part for name in PLUGINS_OFF for part in ("-p", "no:" + name)]
    return int(pytest.main(arguments + [f"{tests}/{module}" for module in modules]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]))
