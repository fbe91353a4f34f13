"""The ledger: caps that hold under parallel callers, and a file that survives its process."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import Bill
from evolve.llm import BudgetSpent, Caps, Ledger, ModelError, Price, Usage
from evolve.llm.ledger import Worst

PRICE = Price(3.0, 15.0, cached=0.3, cache_write=3.75)


def test_the_worst_case_takes_the_dearest_rate_of_a_prompt() -> None:
    assert Worst.of(PRICE, 1_000_000, 1_000_000).usd == pytest.approx(3.75 + 15.0)
    assert Worst.of(Price(3.0, 15.0), 1000, 0).usd == pytest.approx(0.003)


def test_a_settled_call_costs_what_it_cost() -> None:
    ledger = Ledger(None, Caps(usd=1.0))
    account = ledger.account("evaluation-1")
    reservation = account.reserve("solve", "a:b", Worst(1000, 500, 0.5))
    assert ledger.spent().reserved_usd == 0.5
    assert account.left().usd == 0.5
    account.settle(reservation, Usage(800, 100, 0, 50), 0.01, status="ok")
    spent = ledger.spent()
    assert spent.settled == Bill(1, 800, 100, 50, 0.01)
    assert spent.by_model == {("solve", "a:b"): Bill(1, 800, 100, 50, 0.01)}
    assert spent.reserved_usd == 0.0 and spent.unmeasured_calls == 0


def test_a_call_without_usage_is_charged_at_its_worst_case_and_marked(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        account = ledger.account("evaluation-1")
        account.settle(account.reserve("solve", "a:b", Worst(10, 5, 0.5)), None, 0.0, status="ok")
        assert ledger.spent().settled == Bill(1, 10, 0, 5, 0.5)
        assert ledger.spent().unmeasured_calls == 1
    assert json.loads((tmp_path / "ledger.jsonl").read_text().splitlines()[1])["measured"] is False


def test_a_refusal_is_final_only_if_the_calls_under_way_are_not_its_cause() -> None:
    ledger = Ledger(None, Caps(usd=1.0))
    account = ledger.account("evaluation-1")
    first = account.reserve("solve", "a:b", Worst(10, 5, 0.9))
    with pytest.raises(BudgetSpent):
        account.reserve("solve", "a:b", Worst(10, 5, 0.5))
    assert ledger.spent().no_room is None, "the first call may turn out cheap"
    account.settle(first, Usage(10, 0, 0, 5), 0.8, status="ok")
    assert ledger.spent().no_room == "$0.2000 of the run's $1.0000 are left, the call may cost $0.5000"


@pytest.mark.parametrize(
    ("rollout", "run", "whose"),
    [(Caps(calls=1), Caps(), "rollout"), (Caps(), Caps(tokens=25), "run"), (Caps(usd=0.9), Caps(usd=0.9), "rollout")],
)
def test_whose_cap_was_hit(rollout: Caps, run: Caps, whose: str) -> None:
    account = Ledger(None, run).account("evaluation-1", rollout)
    account.reserve("solve", "a:b", Worst(10, 5, 0.5))
    with pytest.raises(BudgetSpent, match=f"the {whose}") as caught:
        account.reserve("solve", "a:b", Worst(10, 5, 0.5))
    assert caught.value.whose == whose


def test_a_refused_reservation_leaves_no_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, Caps(calls=0)) as ledger, pytest.raises(BudgetSpent):
        ledger.account("evaluation-1").reserve("solve", "a:b", Worst(1, 1, 0.0))
    assert path.read_text() == ""


def test_left_is_the_smaller_rest_of_rollout_and_run() -> None:
    ledger = Ledger(None, Caps(usd=10.0, tokens=100))
    account = ledger.account("evaluation-1", Caps(usd=1.0, calls=3))
    other = ledger.account("evaluation-2")
    other.reserve("solve", "a:b", Worst(50, 20, 9.5))
    account.reserve("solve", "a:b", Worst(5, 5, 0.25))
    left = account.left()
    assert left.usd == pytest.approx(0.25)
    assert (left.tokens, left.calls) == (20, 2)


CAPS = st.builds(
    Caps,
    usd=st.none() | st.floats(0.0, 3.0),
    tokens=st.none() | st.integers(0, 5000),
    calls=st.none() | st.integers(0, 100),
)


@settings(max_examples=15, deadline=None)
@given(run=CAPS, rollout=CAPS, seed=st.integers(0, 2**32))
def test_64_callers_never_exceed_a_cap(run: Caps, rollout: Caps, seed: int) -> None:
    ledger = Ledger(None, run)
    accounts = [ledger.account(f"evaluation-{number}", rollout) for number in range(4)]
    over: list[str] = []
    start = threading.Barrier(64)

    def check(where: str, caps: Caps, bill: Bill, reserved: float = 0.0) -> None:
        if caps.usd is not None and bill.usd + reserved > caps.usd + 1e-9:
            over.append(f"{where}: ${bill.usd}")
        if caps.tokens is not None and bill.input_tokens + bill.output_tokens > caps.tokens:
            over.append(f"{where}: {bill} tokens")
        if caps.calls is not None and bill.calls > caps.calls:
            over.append(f"{where}: {bill.calls} calls")

    def work(number: int) -> None:
        rng = random.Random(seed + number)
        account = accounts[number % len(accounts)]
        start.wait()
        for _ in range(4):
            worst = Worst(rng.randrange(100), rng.randrange(100), rng.random() / 10)
            try:
                reservation = account.reserve("solve", "a:b", worst)
            except BudgetSpent:
                continue
            spent = ledger.spent()
            check("run", run, spent.settled, spent.reserved_usd)
            share = rng.random()
            usage = Usage(int(worst.input_tokens * share), 0, 0, int(worst.output_tokens * share))
            account.settle(reservation, usage, worst.usd * share, status="ok")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for account in accounts:
        check(account.scope, rollout, account.tally.bill)
    check("run", run, ledger.spent().settled)
    assert not over


def test_totals_survive_closing_and_opening(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.jsonl"
    with Ledger(path) as ledger:
        account = ledger.account("evaluation-1")
        account.settle(account.reserve("solve", "a:b", Worst(10, 5, 0.5)), Usage(9, 1, 0, 4), 0.25, status="ok")
        account.settle(account.reserve("diagnose", "a:c", Worst(10, 5, 0.5)), None, 0.0, status="ok")
        before = ledger.spent()
    with Ledger(path) as ledger:
        assert ledger.spent() == before
        assert ledger.account("evaluation-2").reserve("solve", "a:b", Worst(1, 1, 0.0)).id == 3


CHILD = """
import sys, time
from pathlib import Path
from evolve.llm import Ledger, Usage
from evolve.llm.ledger import Worst
ledger = Ledger(Path(sys.argv[1]))
account = ledger.account("evaluation-1")
account.settle(account.reserve("solve", "a:b", Worst(10, 5, 0.5)), Usage(1, 0, 0, 1), 0.1, status="ok")
account.reserve("solve", "a:b", Worst(100, 50, 5.0))
print("reserved", flush=True)
time.sleep(60)
"""


def test_a_reservation_of_a_killed_process_counts_as_spent(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"reserved\n"
        with pytest.raises(ModelError, match="another process"):
            Ledger(path)
        os.kill(child.pid, signal.SIGKILL)
    for _ in range(2):  # the second opening finds it closed
        with Ledger(path, Caps(usd=6.0)) as ledger:
            spent = ledger.spent()
            assert spent.settled == Bill(2, 101, 0, 51, 5.1)
            assert (spent.lost_calls, spent.unmeasured_calls, spent.reserved_usd) == (1, 1, 0.0)
            with pytest.raises(BudgetSpent):
                ledger.account("evaluation-2").reserve("solve", "a:b", Worst(1, 1, 1.0))


@pytest.mark.parametrize("torn", ['{"event":"settle","id":1,"inp', '{"event":"reserve","id":2', "\x00\x00\x00"])
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.account("evaluation-1").reserve("solve", "a:b", Worst(10, 5, 0.5))
    with path.open("a") as file:
        file.write(torn)
    with Ledger(path) as ledger:
        assert ledger.spent().settled == Bill(1, 10, 0, 5, 0.5)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["reserve", "settle"]


def test_a_foreign_line_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"event":"settle","id":7}\n')
    with pytest.raises(ModelError, match="line 1 of"):
        Ledger(path)


# Moves, hours, calls


def test_all_rollouts_of_a_move_share_its_cap_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, move=Caps(usd=1.0)) as ledger:
        first = ledger.account("expansion-3", move="expansion-3")
        first.settle(first.reserve("diagnose", "a:b", Worst(10, 5, 0.5)), Usage(1, 0, 0, 1), 0.4, status="ok")
        second = ledger.account("expansion-3-life", move="expansion-3")
        second.reserve("improve", "a:b", Worst(10, 5, 0.5))
        assert second.left().usd == pytest.approx(0.1)
        ledger.account("evaluation-4").reserve("solve", "a:b", Worst(10, 5, 0.9))
    with Ledger(path, move=Caps(usd=1.0)) as ledger:
        with pytest.raises(BudgetSpent, match="the move's") as caught:
            ledger.account("expansion-3-again", move="expansion-3").reserve("solve", "a:b", Worst(1, 1, 0.11))
        assert caught.value.whose == "move"
        assert ledger.spent().no_room is None, "another move has room"


def test_the_hour_passes_and_is_found_again_in_the_file(tmp_path: Path) -> None:
    path, now = tmp_path / "ledger.jsonl", [1_700_000_000.0]

    def opened() -> Ledger:
        return Ledger(path, Caps(usd_per_hour=1.0), clock=lambda: now[0])

    with opened() as ledger:
        account = ledger.account("evaluation-1")
        account.settle(account.reserve("solve", "a:b", Worst(10, 5, 0.9)), Usage(1, 0, 0, 1), 0.75, status="ok")
    now[0] += 600
    with opened() as ledger:
        account = ledger.account("evaluation-2")
        with pytest.raises(BudgetSpent) as caught:
            account.reserve("solve", "a:b", Worst(10, 5, 0.5))
        assert (caught.value.whose, caught.value.seconds) == ("hour", 3000.0)
        now[0] += caught.value.seconds
        account.reserve("solve", "a:b", Worst(10, 5, 0.5))
        assert ledger.spent().no_room is None


def test_a_call_beyond_a_whole_hour_ends_the_run() -> None:
    ledger = Ledger(None, Caps(usd_per_hour=1.0))
    with pytest.raises(BudgetSpent, match="a whole hour") as caught:
        ledger.account("evaluation-1").reserve("solve", "a:b", Worst(10, 5, 1.1))
    assert caught.value.whose == "run"
    assert "a whole hour" in str(ledger.spent().no_room)


def test_a_call_beyond_the_cap_of_calls_is_the_agents_to_shorten() -> None:
    ledger = Ledger(None, Caps(usd_per_call=0.5))
    account = ledger.account("evaluation-1", Caps(usd_per_call=0.2))
    assert account.usd_per_call == account.left().usd_per_call == 0.2
    with pytest.raises(ModelError, match=r"\$0.2000 that one call may") as caught:
        account.reserve("solve", "a:b", Worst(10, 5, 0.3))
    assert caught.value.kind == "context_length" and ledger.spent().no_room is None


# The file


class Disk:
    """Stands before `os.fdatasync`: counts it, holds it back, or lets it fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self.free = threading.Event()
        self.free.set()
        self.broken = False
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, file: int) -> None:
        self.syncs += 1
        assert self.free.wait(10)
        if self.broken:
            raise OSError("the disk is gone")
        os.fsync(file)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_many_reservations_wait_for_the_disk_together(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "ledger.jsonl"

    async def storm(ledger: Ledger) -> int:
        disk.free.clear()
        account = ledger.account("evaluation-1")
        waiting = [asyncio.create_task(account.set_aside("solve", "a:b", Worst(1, 1, 0.01))) for _ in range(64)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting), "nothing may be sent before it is on the disk"
        assert len(path.read_text().splitlines()) == 64
        disk.free.set()
        made = await asyncio.gather(*waiting)
        return len({each.id for each in made})

    with Ledger(path) as ledger:
        assert asyncio.run(storm(ledger)) == 64
    assert disk.syncs <= 2, "the one that the first call asked for, and one for all who came meanwhile"


def test_what_is_free_and_what_is_settled_waits_for_no_disk(tmp_path: Path, disk: Disk) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        account = ledger.account("evaluation-1")
        free = asyncio.run(account.set_aside("solve", "a:b", Worst(1, 1, 0.0)))
        account.settle(free, Usage(1, 0, 0, 1), 0.0, status="ok")
        assert disk.syncs == 0


def test_who_is_cancelled_while_waiting_for_the_disk_has_nothing_set_aside(tmp_path: Path, disk: Disk) -> None:
    async def cancelled(ledger: Ledger) -> None:
        disk.free.clear()
        account = ledger.account("evaluation-1")
        first = asyncio.create_task(account.set_aside("solve", "a:b", Worst(1, 1, 0.01)))
        second = asyncio.create_task(account.set_aside("solve", "a:b", Worst(1, 1, 0.02)))
        await asyncio.sleep(0.05)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        disk.free.set()
        await first
        assert ledger.spent().reserved_usd == 0.01 and ledger.spent().settled.usd == 0.0

    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        asyncio.run(cancelled(ledger))


def test_a_disk_that_fails_stops_the_call_and_costs_nothing(tmp_path: Path, disk: Disk) -> None:
    disk.broken = True
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        account = ledger.account("evaluation-1")
        with pytest.raises(OSError, match="the disk is gone"):
            account.reserve("solve", "a:b", Worst(1, 1, 0.01))
        with pytest.raises(OSError, match="the disk is gone"):
            asyncio.run(account.set_aside("solve", "a:b", Worst(1, 1, 0.01)))
        assert ledger.spent().reserved_usd == 0.0 and ledger.spent().settled.usd == 0.0


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "ledger.jsonl", os.write
    with Ledger(path) as ledger:
        account = ledger.account("evaluation-1")
        open_call = account.reserve("solve", "a:b", Worst(10, 5, 0.5))
        monkeypatch.setattr(os, "write", lambda file, raw: write(file, raw[:20]))
        with pytest.raises(OSError, match="is it full"):
            account.reserve("solve", "a:b", Worst(10, 5, 0.5))
        with pytest.raises(OSError, match="is it full"):
            account.settle(open_call, Usage(1, 0, 0, 1), 0.1, status="ok")
        monkeypatch.undo()
        assert ledger.spent().reserved_usd == 0.5, "still set aside: nobody could write down that it is over"
        account.settle(open_call, Usage(1, 0, 0, 1), 0.1, status="ok")
    with Ledger(path) as ledger:
        assert ledger.spent().settled == Bill(1, 1, 0, 1, 0.1)


def test_money_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        account = ledger.account("evaluation-1")
        made = account.reserve("solve", "a:b", Worst(10, 5, 0.5))
        account.settle(made, Usage(1, 0, 0, 1), 0.1, status="ok")
        with pytest.raises(ModelError, match="settled already"):
            account.settle(made, Usage(1, 0, 0, 1), 0.1, status="ok")
    lines = path.read_text().splitlines()
    for twice in lines:
        path.write_text("\n".join([lines[0], *([lines[1]] if twice == lines[1] else []), twice]) + "\n")
        with pytest.raises(ModelError, match=f"line {3 if twice == lines[1] else 2} of"):
            Ledger(path)


def test_a_closed_ledger_pays_for_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.close()
    ledger.close()
    with pytest.raises(ModelError, match="is closed"):
        ledger.account("evaluation-1").reserve("solve", "a:b", Worst(1, 1, 0.1))


OLD = """\
{"event":"reserve","id":1,"scope":"expansion-3","role":"improve","model":"a:b","input_tokens":10,"output_tokens":5,"usd":0.5,"at":"2026-09-01T10:00:00.000+00:00"}
{"event":"settle","id":1,"input_tokens":9,"cached_tokens":1,"output_tokens":4,"usd":0.25,"status":"ok","measured":true}
{"event":"reserve","id":2,"scope":"expansion-3-life","role":"solve","model":"a:b","input_tokens":10,"output_tokens":5,"usd":0.5,"at":"2026-09-01T10:00:01.000+00:00"}
"""


def test_a_ledger_of_an_earlier_version_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(OLD)
    with Ledger(path, Caps(usd_per_hour=0.6), move=Caps(usd=0.8)) as ledger:
        assert ledger.spent().settled == Bill(2, 19, 1, 9, 0.75) and ledger.spent().lost_calls == 1
        with pytest.raises(BudgetSpent, match="the move's"):
            ledger.account("x", move="expansion-3").reserve("solve", "a:b", Worst(1, 1, 0.06))
        ledger.account("y").reserve("solve", "a:b", Worst(1, 1, 0.1))
        with pytest.raises(BudgetSpent) as caught:
            ledger.account("y").reserve("solve", "a:b", Worst(1, 1, 0.1))
        assert caught.value.whose == "hour", "what was lost may be charged at any moment up to now"


def test_events_are_counted_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for times in (1, 2):
        with Ledger(path) as ledger:
            ledger.account("evaluation-1").note("a:b", ["leaked_call", "leaked_call", "repair_retry"])
            ledger.account("evaluation-2").note("a:c", [])
            assert ledger.spent().events == {"a:b": {"leaked_call": 2 * times, "repair_retry": times}}
            assert ledger.spent().settled == Bill()
