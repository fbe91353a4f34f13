"""What is made equal for comparing two requests, and above all what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.cassette.likeness import MEANINGLESS, alike, compared, likeness, rest_of
from evolve.llm.cassette.tape import text_of

SAME = [
    ("=== 3 passed in 0.03s ===", "=== 3 passed in 12.40s ==="),
    ("1 failed, 2 passed in 61.20s (0:01:01)", "1 failed, 2 passed in 59.99s"),
    ("no tests ran in 0.01s", "no tests ran in 0.02s"),
    ("3 passed, 1 warning in 0.03s", "3 passed, 1 warning in 0.04s"),
    ("0.02s call     test_a.py::test_b", "1.02s call     test_a.py::test_b"),
    ("Ran 3 tests in 0.001s", "Ran 3 tests in 0.120s"),
    ("--- FAIL: TestTwo (0.00s)", "--- FAIL: TestTwo (0.01s)"),
    ("ok  \tsums\t0.003s", "ok  \tsums\t0.004s"),
    ("FAIL\tsums\t0.003s", "FAIL\tsums\t0.004s"),
    (
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.31s",
    ),
    (
        "    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.45s",
        "    Finished `test` profile [unoptimized + debuginfo] target(s) in 1m 02s",
    ),
    ("Time:        0.52 s, estimated 1 s", "Time:        1.2 s"),
    ("  ✓ adds (3 ms)", "  ✓ adds (12 ms)"),
    ("  3 passing (12ms)", "  3 passing (1s)"),
    ("# duration_ms 45.2", "# duration_ms 46.1"),
    ("BUILD SUCCESSFUL in 3s", "BUILD SUCCESSFUL in 1m 4s"),
    ("1/1 Test #1: sums .......   Passed    0.01 sec", "1/1 Test #1: sums .......   Passed    0.02 sec"),
    ("1/1 Test #1: sums .......***Failed    0.01 sec", "1/1 Test #1: sums .......***Failed    0.12 sec"),
    ("-- Configuring done (0.3s)", "-- Configuring done (1.4s)"),
    ("[       OK ] Sums.Two (0 ms)", "[       OK ] Sums.Two (7 ms)"),
    (
        "[==========] 2 tests from 1 test suite ran. (0 ms total)",
        "[==========] 2 tests from 1 test suite ran. (1 ms total)",
    ),
    ("real\t0m0.003s", "real\t0m1.213s"),
    ("2026-11-22T14:03:59.120Z started", "2027-01-02T01:02:03.004Z started"),
    ("2026-11-22 14:03:59,120 INFO started", "2026-11-22 14:04:00,001 INFO started"),
    ("-rw-r--r-- 1 me me 120 Nov 22 14:03 sums.py", "-rw-r--r-- 1 me me 120 Dec  3  2025 sums.py"),
    ("<Stack object at 0x7f3a5c0d1e50>", "<Stack object at 0x55d0c8a01230>"),
    ("main.sum({0xc000012345, 0x3})", "main.sum({0xc0000abcde, 0x3})"),
    ("bash: line 1:    12 Segmentation fault", "bash: line 1:   340 Segmentation fault"),
    ('File "/tmp/tmpab12cd34/sums.py", line 3', 'File "/tmp/tmp_9zz00aa/sums.py", line 3'),
    ("/tmp/tmp.aB3dE6gH9j", "/tmp/tmp.0000000000"),
    ("/tmp/pytest-of-me/pytest-12/test_a0", "/tmp/pytest-of-me/pytest-3/test_a0"),
    ("/tmp/go-build123456/b001", "/tmp/go-build98/b001"),
]

DIFFERENT = [
    # results
    ("=== 3 passed in 0.03s ===", "=== 2 passed in 0.03s ==="),
    ("3 passed, 1 failed in 0.03s", "4 passed in 0.03s"),
    ("Ran 3 tests in 0.001s", "Ran 4 tests in 0.001s"),
    ("--- FAIL: TestTwo (0.00s)", "--- PASS: TestTwo (0.00s)"),
    ("ok  \tsums\t0.003s", "FAIL\tsums\t0.003s"),
    ("BUILD SUCCESSFUL in 3s", "BUILD FAILED in 3s"),
    ("1/1 Test #1: sums ....   Passed    0.01 sec", "1/1 Test #1: sums ....***Failed    0.01 sec"),
    ("  ✓ adds (3 ms)", "  ✗ adds (3 ms)"),
    # what a program under test may say of time
    ("time: 5 s", "time: 10 s"),
    ("Time: 5 s", "Time: 10 s"),
    ("took 12ms", "took 13ms"),
    ("waits in 0.03s", "waits in 0.04s"),
    ("arrives in 3 seconds", "arrives in 4 seconds"),
    ("duration 3s", "duration 4s"),
    ("(3 ms)", "(4 ms)"),
    ("  ✓ waits for 3 s", "  ✓ waits for 4 s"),
    ("got 10:03:00, want 11:03:00", "got 12:03:00, want 11:03:00"),
    ("2043-01-01T01:46:40", "2043-01-01T01:46:41"),
    ("2043-01-01 01:46:40+00:00", "2043-01-01 01:46:40+01:00"),
    ("2026-11-22", "2026-11-23"),
    ("due Nov 22 14:03 sharp", "due Nov 22 14:04 sharp"),
    # numbers, versions, lines, sizes, names
    ("expected 3, got 4", "expected 3, got 5"),
    ("Python 3.11.2", "Python 3.11.3"),
    ("sums.py:12: AssertionError", "sums.py:13: AssertionError"),
    ("-rw-r--r-- 1 me me 120 Nov 22 14:03 sums.py", "-rw-r--r-- 1 me me 121 Nov 22 14:03 sums.py"),
    ("-rw-r--r-- 1 me me 120 Nov 22 14:03 sums.py", "-rwxr-xr-x 1 me me 120 Nov 22 14:03 sums.py"),
    ("<Stack object at 0x7f3a5c0d1e50>", "<Queue object at 0x7f3a5c0d1e50>"),
    ("flags 0x1f, at 0x400", "flags 0x1f, at 0x401"),
    ("pid 12", "pid 13"),
    ("bash: line 1:    12 Segmentation fault", "bash: line 2:    12 Segmentation fault"),
    ("/tmp/tmpab12cd34/sums.py", "/tmp/tmpab12cd34/subs.py"),
    ("/tmp/tmpab12cd345", "/tmp/tmpab12cd346"),
    ("/tmp/mine/a", "/tmp/mine/b"),
    ("/home/tmpab12cd34", "/home/tmpab12cd35"),
    ("5 tests in 3 files", "5 tests in 4 files"),
    ("a b", "a  b"),
]  # fmt: skip


def named(role: str, content: object, **more: object) -> str:
    return likeness(text_of({"role": role, "content": content, **more}))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_only_a_clock_an_address_or_a_random_name_tells_is_the_same(one: str, other: str) -> None:
    for role in ("tool", "user"):
        for frame in ("{}", "before\n{}\nafter", "[exit 1]\n{}"):
            assert named(role, frame.format(one)) == named(role, frame.format(other))
    assert named("tool", [{"type": "text", "text": one}]) == named("tool", [{"type": "text", "text": other}])


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_a_program_may_mean_is_different(one: str, other: str) -> None:
    assert named("tool", one) != named("tool", other)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_of_the_house_and_the_model_every_character_counts(one: str, other: str) -> None:
    for role in ("assistant", "system"):
        assert named(role, one) != named(role, other)


def test_every_entry_of_the_list_has_an_example_that_shows_it() -> None:
    for words in MEANINGLESS:
        assert words.pattern.search(words.example), words.whose
        assert alike(words.example) != words.example, words.whose


def test_only_the_content_of_a_message_is_made_equal() -> None:
    message = {"role": "tool", "tool_call_id": "/tmp/tmpab12cd34", "content": "in /tmp/tmpab12cd34"}
    assert compared(message) == {"role": "tool", "tool_call_id": "/tmp/tmpab12cd34", "content": "in /tmp/<name>"}
    assert named("tool", "x", tool_call_id="call_1") != named("tool", "x", tool_call_id="call_2")
    assert named("tool", "x") != named("user", "x")
    assert named("user", None) != named("user", "")


def test_a_message_is_left_as_it_is_when_it_is_compared() -> None:
    message = {"role": "tool", "content": "3 passed in 0.03s"}
    compared(message)
    assert message == {"role": "tool", "content": "3 passed in 0.03s"}


WORDS = st.text('abcxyz ÄÖ🌳():,.-_/0123456789\n\t"\\', max_size=60)


@given(WORDS, WORDS)
def test_ordinary_texts_are_the_same_only_if_they_are_equal(one: str, other: str) -> None:
    assert (named("tool", one) == named("tool", other)) == (one == other)


@given(st.sampled_from([each[0] for each in SAME]), WORDS)
def test_making_alike_twice_changes_nothing_more(words: str, around: str) -> None:
    once = alike(f"{around}\n{words}\n{around}")
    assert alike(once) == once


@given(
    st.permutations([("model", "m"), ("max_tokens", 10), ("tools", [{"b": 1, "a": 2}]), ("seed", 3), ("messages", [])])
)
def test_the_order_of_a_requests_fields_has_no_meaning(fields: list[tuple[str, object]]) -> None:
    assert rest_of(dict(fields)) == rest_of({"seed": 3, "tools": [{"b": 1, "a": 2}], "model": "m", "max_tokens": 10})


def test_every_other_field_of_a_request_counts() -> None:
    request = {"model": "m", "max_tokens": 10, "temperature": 0.5}
    for changed in ({"model": "n"}, {"max_tokens": 11}, {"temperature": 0.6}, {"seed": 1}):
        assert rest_of({**request, **changed}) != rest_of(request)
