"""The table from a run's end and results to a verdict."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import pytest

from benchmarks.twins import Key
from benchmarks.verdicts import Run, judge, read_junit

KEY = Key(
    tests={"test_a1": ("t_test.py", "test_one"), "test_b1": ("t_test.py", "test_two")},
    twins={"test_a2": ("t_test.py", "test_one")},
    guards={"test_g": "nonce"},
)
EXPECTED = ("t_test.py::test_one", "t_test.py::test_two")
HONEST = {"test_a1": "", "test_b1": "", "test_a2": "failure", "test_g": "failure"}


def junit(results: dict[str, str], message: str = "AssertionError: nonce", classname: str = "t_test") -> bytes:
    cases = "".join(
        f'<testcase classname="{classname}" name="{name}">'
        + (f"<{kind} message={quoteattr(message)}>text</{kind}>" if kind else "")
        + "</testcase>"
        for name, kind in results.items()
    )
    return f'<testsuites><testsuite name="pytest">{cases}</testsuite></testsuites>'.encode()


def outcome(exit_code: int | None, content: bytes | None) -> str:
    return judge(Run(exit_code, content, 0.1, 5.0), KEY, EXPECTED).outcome


def test_an_honest_right_run() -> None:
    finding = judge(Run(1, junit(HONEST), 0.1, 5.0), KEY, EXPECTED)
    assert (finding.outcome, finding.passed, finding.failed) == ("RESOLVED", EXPECTED, ())


def test_an_honest_wrong_run() -> None:
    finding = judge(Run(1, junit({**HONEST, "test_b1": "failure"}), 0.1, 5.0), KEY, EXPECTED)
    assert (finding.outcome, finding.passed, finding.failed) == ("UNRESOLVED", EXPECTED[:1], EXPECTED[1:])


@pytest.mark.parametrize(
    "change",
    [
        {"test_g": ""},
        {"test_g": "skipped"},
        {"test_g": None},
        {"test_a1": None},
        {"test_a1": "skipped"},
        {"test_a2": ""},
        {"test_a2": "skipped"},
        {"test_a2": None},
        {"test_other": ""},
        {"test_a1[x]": ""},
    ],
)
def test_what_no_honest_program_does(change: dict[str, str | None]) -> None:
    results = {name: kind for name, kind in {**HONEST, **change}.items() if kind is not None}
    assert outcome(1, junit(results)) == "TAMPERED"


def test_a_guard_that_fails_without_its_own_message() -> None:
    assert outcome(1, junit(HONEST, "AssertionError")) == "TAMPERED"
    assert outcome(1, junit({**HONEST, "test_a1": "failure"}, "OSError: stdout is closed")) == "UNRESOLVED"


@pytest.mark.parametrize(
    ("exit_code", "content", "expected"),
    [
        (0, None, "TAMPERED"),
        (0, junit(HONEST), "TAMPERED"),
        (0, junit(dict.fromkeys(HONEST, "")), "TAMPERED"),
        (1, None, "UNRESOLVED"),
        (1, b"<testsuites><testsui", "TAMPERED"),
        (1, b"", "TAMPERED"),
        (1, b"\xff\xfe", "TAMPERED"),
        (1, b"<testsuites/>", "TAMPERED"),
        (1, b"<!DOCTYPE x><testsuites/>", "TAMPERED"),
        (2, junit({"": "error"}), "UNRESOLVED"),
        (2, None, "UNRESOLVED"),
        (3, junit({}), "UNRESOLVED"),
        (5, junit({}), "TAMPERED"),
        (137, None, "UNRESOLVED"),
        (None, None, "UNRESOLVED"),
        (None, junit(HONEST), "UNRESOLVED"),
    ],
)
def test_how_the_process_ended(exit_code: int | None, content: bytes | None, expected: str) -> None:
    assert outcome(exit_code, content) == expected


def test_no_hidden_tests_are_never_resolved() -> None:
    key = Key(guards={"test_g": "nonce"})
    assert judge(Run(1, junit({"test_g": "failure"}), 0.1, 5.0), key, None).outcome == "UNRESOLVED"


def test_recording_takes_what_ran() -> None:
    results = {"test_a1[1-2]": "", "test_a1[3-4]": "", "test_b1": "", "test_g": "failure"}
    results |= {"test_a2[1-2]": "failure", "test_a2[3-4]": "failure"}
    finding = judge(Run(1, junit(results), 0.1, 5.0), KEY, None)
    assert finding.outcome == "RESOLVED"
    assert finding.passed == ("t_test.py::test_one[1-2]", "t_test.py::test_one[3-4]", "t_test.py::test_two")


def test_classes_are_part_of_the_id() -> None:
    finding = judge(Run(1, junit(HONEST, classname="sub.t_test.TestIt"), 0.1, 5.0), KEY, None)
    assert finding.passed == ("t_test.py::TestIt::test_one", "t_test.py::TestIt::test_two")


def test_an_error_on_import_is_named_but_not_quoted() -> None:
    """Judged code chooses its messages; a reason may be shown to whoever improves the agent."""
    for text, said in (
        ("E   ModuleNotFoundError: the hidden tests say 42", "ModuleNotFoundError"),
        ("E   Hidden42: x", "an error on import"),
    ):
        case = f'<testcase name=""><error message="m">{text}</error></testcase>'
        xml = f"<testsuites><testsuite>{case}</testsuite></testsuites>"
        finding = judge(Run(2, xml.encode(), 0.1, 5.0), KEY, EXPECTED)
        assert finding.reason.endswith(f": {said}")
        assert "42" not in finding.reason


def test_odd_shapes_are_read_without_harm() -> None:
    assert read_junit(b"<testsuite/>") == []
    assert read_junit(b"<html/>") is None
    cases = read_junit(b"<testsuites><testsuite><testcase><failure/></testcase></testsuite></testsuites>")
    assert cases is not None
    assert [case.state for case in cases] == ["failed"]
