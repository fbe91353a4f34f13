"""Logs are kept small, read from their end, and searched for the cause of an end."""

from __future__ import annotations

from pathlib import Path

from evolve.vllm.logs import last_words, progress, rotate, tail


def test_a_log_that_has_grown_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "replica-0.log"
    rotate(log)  # there is none yet
    with log.open("ab", buffering=0) as server:
        server.write(b"old\n" * 30)
        rotate(log, limit=1000)
        assert log.stat().st_size == 120
        rotate(log, limit=100)
        server.write(b"new\n")
    assert log.read_text() == "new\n"
    assert tail(log, 3) == ["old", "old", "new"]


def test_a_tail_of_nothing_and_of_less_than_was_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 5) == []
    log.write_bytes(b"one\rtwo\nthree \xff")
    assert tail(log, 5) == ["one", "two", "three \ufffd"]
    assert tail(log, 1) == ["three \ufffd"]


def test_the_cause_is_found_and_not_what_follows_from_it() -> None:
    told = [
        "ValueError: of an earlier run",
        "=== replica 0 starts",
        "(EngineCore pid=7) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
        "Traceback (most recent call last):",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
    ]
    assert last_words(told) == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB."


def test_without_an_error_the_last_line_must_do() -> None:
    assert last_words(["one", "\x1b[31mtwo\x1b[0m", "  "]) == "two"
    assert last_words(["vllm serve: error: unrecognized arguments: --x"]).endswith("unrecognized arguments: --x")
    assert last_words(["ValueError: old", "=== replica 0 starts"]) == "it wrote nothing"
    assert len(last_words(["ValueError: " + "x" * 999])) == 300


def test_progress_is_the_last_line_of_this_run_without_its_head() -> None:
    told = [
        "=== replica 0 starts",
        "(Core pid=1) INFO 11-22 04:00:00 [loader.py:12] Loading weights took 3 s",
        "",
    ]
    assert progress(told) == "Loading weights took 3 s"
    assert progress(["old", "=== replica 0 starts"]) == ""
