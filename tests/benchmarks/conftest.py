"""Real sandboxes, the repair benchmark with a few tasks, and a tiny checkout in the polyglot benchmark's format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import Benchmark, open_benchmark
from sandbox import Sandbox, SandboxError, open_sandbox

CANARY = "CANARY_5f1d7c"

_TESTS = f"""
import unittest

from clock_face import clock, parse
from test_data import MIDNIGHT


class ClockTest(unittest.TestCase):
    # {CANARY}
    def test_midnight(self):
        self.assertEqual(clock(0), MIDNIGHT)

    def test_noon(self):
        expected = "12:00"
        self.assertEqual(clock(720), expected)

    def test_wraps(self):
        self.assertEqual(clock(1441), "00:01")

    def test_parse(self):
        self.assertEqual(parse("01:30"), 90)

    def test_parse_refuses(self):
        with self.assertRaises(ValueError) as caught:
            parse("x")
        self.assertEqual(caught.exception.args[0], "not a time")

    def test_parse_accepts(self):
        self.assertTrue(parse("00:01"))


if __name__ == "__main__":
    unittest.main()
"""

_REFERENCE = f"""
def clock(minutes):
    return "%02d:%02d" % divmod(minutes % 1440, 60)  # {CANARY}


def parse(text):
    hours, colon, minutes = text.partition(":")
    if not colon:
        raise ValueError("not a time")
    return int(hours) * 60 + int(minutes)
"""

_STUB = """
def clock(minutes):
    pass


def parse(text):
    pass
"""


def write_exercise(root: Path, slug: str, stub: str, tests: str, reference: str, **more: str) -> None:
    """One Python exercise in the checkout's format."""
    name = slug.replace("-", "_")
    folder = root / "python/exercises/practice" / slug
    files = {"solution": [f"{name}.py"], "test": [f"{name}_test.py"], "example": [".meta/example.py"]}
    texts = {f"{name}.py": stub, f"{name}_test.py": tests, ".meta/example.py": reference}
    texts |= {".docs/instructions.md": f"# Instructions\n\nWrite the {slug}.\n"}
    if "test_data.py" in more:
        files["test"].append("test_data.py")
    if "units.py" in more:
        files["editor"] = ["units.py"]
    for path, text in {**texts, **more, ".meta/config.json": json.dumps({"files": files})}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good exercises, one whose stub passes already, one whose reference fails, one that cannot be read."""
    root = tmp_path_factory.mktemp("polyglot-benchmark")
    more = {
        "test_data.py": f'MIDNIGHT = "00:00"  # {CANARY}\n',
        "units.py": "MINUTES = 60\n",
        ".docs/introduction.md": "# Introduction\n\nClocks have faces.\n",
        ".docs/instructions.append.md": "# Append\n\nRaise ValueError for nonsense.\n",
    }
    write_exercise(root, "clock-face", _STUB, _TESTS, _REFERENCE, **more)
    for number in range(3):
        tests = f"from plus_{number} import plus\n\ndef test_plus():\n    assert plus(2) == {2 + number}\n"
        write_exercise(root, f"plus-{number}", "", tests, f"def plus(x):\n    return x + {number}\n")
    passing = "from free import free\n\ndef test_free():\n    assert free() == 1\n"
    write_exercise(root, "free", "def free():\n    return 1\n", passing, "def free():\n    return 1\n")
    failing = "from broken import broken\n\ndef test_broken():\n    assert broken() == 1\n"
    write_exercise(root, "broken", "", failing, "def broken():\n    return 2\n")
    (root / "python/exercises/practice/odd/.meta").mkdir(parents=True)
    (root / "python/exercises/practice/odd/.meta/config.json").write_text('{"files": {"solution": ["../../x.py"]}}')
    return root


@pytest.fixture(scope="session", params=["bwrap", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each back end that works on this machine; in CI one that does not is a failure."""
    try:
        opened = open_sandbox(request.param)
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{request.param} does not work here, so nothing was tested in it: {error}")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def repair(sandbox: Sandbox, cache: Path) -> Benchmark:
    opened = open_benchmark("repair", {"search": 2, "validation": 1, "sealed": 1}, cache)
    opened.prepare(sandbox)
    return opened


@pytest.fixture(scope="session")
def polyglot(sandbox: Sandbox, cache: Path, checkout: Path) -> Benchmark:
    opened = open_benchmark("polyglot", {"path": str(checkout), "split_seed": 2}, cache)
    opened.prepare(sandbox)
    return opened


@pytest.fixture(params=["repair", "polyglot"])
def benchmark(request: pytest.FixtureRequest, sandbox: Sandbox) -> Benchmark:
    """Every benchmark in turn, proven in every sandbox in turn."""
    opened: Benchmark = request.getfixturevalue(request.param)
    return opened
