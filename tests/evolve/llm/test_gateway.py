"""The gateway as an agent meets it, and as the house does."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evolve.llm import (
    BudgetSpent,
    Caps,
    Completion,
    Gateway,
    Ledger,
    ModelError,
    Price,
    Retry,
    Scope,
    Usage,
    read_transcript,
    total,
)
from evolve.llm.session import CONNECTIONS

SCOPE = Scope("evaluation-1", seed=7)
BODY: dict[str, Any] = {"model": "solve", "messages": [{"role": "user", "content": "hi"}]}
QUICK = Retry(attempts=3, base=0.001)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(None)


@pytest.fixture
def gateway(kit: Any, ledger: Ledger) -> Iterator[Gateway]:
    with Gateway({"solve": kit.model()}, ledger, retry=QUICK, drain_seconds=0.5) as gateway:
        yield gateway


def failing(kit: Any, *errors: Exception) -> Any:
    """A provider that fails with the given errors, and then says hello."""
    left = list(errors)

    def answer(request: Any) -> Completion:
        if left:
            raise left.pop(0)
        answered: Completion = kit.hello(request)
        return answered

    return kit.Fake(answer)


def gone() -> ModelError:
    return ModelError("it is down", kind="unavailable", status=503)


def test_a_call_is_answered_billed_and_written_down(gateway: Gateway, ledger: Ledger, kit: Any, tmp_path: Path) -> None:
    with gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session:
        heard = kit.ask(session.socket, BODY)
        assert heard.status == 200 and heard.body["choices"][0]["message"]["content"] == "hello"
        assert heard.body["model"] == "solve", "the agent knows roles, not names"
    (call,) = session.bill
    assert (call.role, call.model, call.status, call.retries) == ("solve", "fake:m", "ok", 0)
    assert call.usd == pytest.approx((100 * 1 + 10 * 2) / 1e6)
    assert (session.steps, session.fault, session.spent_out) == (1, None, None)
    assert session.last_messages == BODY["messages"]
    assert ledger.spent().settled == total(session.bill)
    (event,) = read_transcript(tmp_path / "transcript.jsonl")
    assert event.call == call and list(event.messages) == BODY["messages"]


def test_only_three_addresses_are_served(gateway: Gateway, kit: Any) -> None:
    with gateway.session(SCOPE, log=None, caps=Caps(calls=5, usd=2.0)) as session:
        models = kit.ask(session.socket, method="GET", url="/v1/models").body
        assert [each["id"] for each in models["data"]] == ["solve"]
        kit.ask(session.socket, BODY)
        budget = kit.ask(session.socket, method="GET", url="/budget").body
        assert budget["left"]["calls"] == 4 and budget["left"]["tokens"] is None and budget["steps"] == 1
        assert budget["left"]["usd"] == pytest.approx(2.0 - 0.00012)
        for method, url in [
            ("POST", "/v1/responses"), ("POST", "/v1/messages"), ("POST", "/v1/embeddings"), ("POST", "/v1/files"),
            ("GET", "/v1/files"), ("POST", "/v1/batches"), ("GET", "/v1/chat/completions"), ("DELETE", "/v1/models"),
            ("GET", "/metrics"), ("GET", "/"), ("POST", "//v1/chat/completions"), ("CONNECT", "host:443"),
            ("GET", "http://host/v1/models/x"),
        ]:  # fmt: skip
            heard = kit.ask(session.socket, BODY if method == "POST" else None, method=method, url=url)
            assert heard.status in (400, 404), (method, url)
    assert session.steps == 1


def test_an_unknown_role_is_told_the_roles(gateway: Gateway, kit: Any) -> None:
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        for name in ("gpt-5", "fake:m", None, ["solve"]):
            heard = kit.ask(session.socket, {**BODY, "model": name})
            assert heard.status == 404
            assert heard.body["error"]["code"] == "model_not_found"
            assert "ask for a role: solve" in heard.body["error"]["message"]
    assert session.bill == () and session.fault is None


def test_what_is_refused_is_never_sent_and_costs_nothing(kit: Any, ledger: Ledger) -> None:
    fake = kit.Fake(kit.hello)
    with (
        Gateway({"solve": kit.model(fake)}, ledger) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        for body in (
            b"not json",
            {**BODY, "store": True},
            {**BODY, "tools": [{"type": "web_search"}]},
            b"x" * 17_000_000,
        ):
            heard = kit.ask(session.socket, body)
            assert heard.status in (400, 413) and heard.headers["x-should-retry"] == "false"
            assert set(heard.body["error"]) == {"message", "type", "param", "code"}
    assert fake.requests == [] and ledger.spent().settled.calls == 0 and session.fault is None


def test_the_settings_stand_over_what_the_agent_asks_for(kit: Any, ledger: Ledger) -> None:
    fake = kit.Fake(kit.hello)
    model = kit.model(fake, max_output_tokens=500, parameters={"temperature": 0.0, "max_tokens": 300})
    with (
        Gateway({"solve": model}, ledger) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        kit.ask(session.socket, {**BODY, "temperature": 2.0, "max_tokens": 10**9, "n": 64, "stream": True})
        kit.ask(session.socket, {**BODY, "max_completion_tokens": 20})
    first, second = fake.requests
    assert first == {"model": "m", "messages": BODY["messages"], "temperature": 0.0, "max_tokens": 300}
    assert second["max_tokens"] == 20


def test_the_rollouts_budget_ends_with_402_and_stays_ended(gateway: Gateway, kit: Any, tmp_path: Path) -> None:
    with gateway.session(SCOPE, log=tmp_path, caps=Caps(calls=2)) as session:
        statuses = [kit.ask(session.socket, BODY).status for _ in range(5)]
        heard = kit.ask(session.socket, BODY)
    assert statuses == [200, 200, 402, 402, 402]
    assert heard.body["error"]["type"] == "budget_exceeded" and heard.headers["x-should-retry"] == "false"
    assert session.spent_out == "rollout" and session.fault is None and len(session.bill) == 2
    events = read_transcript(tmp_path / "transcript.jsonl")
    assert [event.call.status for event in events] == ["ok", "ok", "budget"], "told once, not for every knock"


def test_the_runs_budget_is_told_apart(kit: Any) -> None:
    with (
        Gateway({"solve": kit.model()}, Ledger(None, Caps(usd=0.0001))) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps(usd=5.0)) as session,
    ):
        assert kit.ask(session.socket, BODY).status == 402
    assert session.spent_out == "run"


def test_parallel_calls_of_many_sessions_stay_under_the_cap(kit: Any, tmp_path: Path) -> None:
    """64 callers, money for some of them: what is spent never passes the cap, whatever the timing."""
    price = Price(1.0, 10.0)
    cap = 0.01
    with (
        Ledger(tmp_path / "ledger.jsonl", Caps(usd=cap)) as ledger,
        Gateway({"solve": kit.model(price=price, max_output_tokens=90)}, ledger) as gateway,
    ):
        statuses: list[int] = []

        def rollout(number: int) -> None:
            with gateway.session(Scope(f"evaluation-{number}"), log=None, caps=Caps()) as session:
                threads = [
                    threading.Thread(target=lambda: statuses.append(kit.ask(session.socket, BODY).status))
                    for _ in range(8)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

        rollouts = [threading.Thread(target=rollout, args=(number,)) for number in range(8)]
        for thread in rollouts:
            thread.start()
        for thread in rollouts:
            thread.join()
        spent = ledger.spent()
    assert len(statuses) == 64 and set(statuses) == {200, 402}
    assert spent.settled.usd <= cap and spent.reserved_usd == 0.0
    assert statuses.count(200) == spent.settled.calls


def test_failures_that_pass_are_retried_here_and_counted(kit: Any, ledger: Ledger, tmp_path: Path) -> None:
    slow = Retry(attempts=3, sleep=lambda seconds: asyncio.sleep(0.05))
    with (
        Gateway({"solve": kit.model(failing(kit, gone(), gone()))}, ledger, retry=slow) as gateway,
        gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session,
    ):
        assert kit.ask(session.socket, BODY).status == 200
        assert 0.1 <= session.waited <= session.bill[0].seconds
        waited = session.waited
        assert kit.ask(session.socket, BODY).status == 200
        assert session.waited == waited, "a call that is answered at once loses nothing"
    assert [call.retries for call in session.bill] == [2, 0]
    assert session.fault is None
    assert len(read_transcript(tmp_path / "transcript.jsonl")[0].retried) == 2


def test_a_provider_that_stays_away_is_the_houses_fault(kit: Any, ledger: Ledger) -> None:
    fake = failing(kit, *[gone() for _ in range(100)])
    with (
        Gateway({"solve": kit.model(fake)}, ledger, retry=QUICK) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        heard = [kit.ask(session.socket, BODY) for _ in range(3)]
    assert [each.status for each in heard] == [503, 503, 503]
    assert heard[0].headers["x-should-retry"] == "false" and heard[0].body["error"]["type"] == "model_unavailable"
    assert session.fault == "fake:m: it is down"
    asked = [request for request in fake.requests if request["messages"] == BODY["messages"]]
    assert len(asked) == QUICK.attempts, "once void, the box does not wait through the same retries again"
    assert [call.status for call in session.bill] == ["unavailable"] and ledger.spent().settled.usd == 0.0


def test_who_gives_up_waits_for_no_provider(kit: Any, ledger: Ledger) -> None:
    fake = failing(kit, *[gone() for _ in range(100)])
    patient = Retry(base=1000, ceiling=1000, deadline=10_000)
    with (
        Gateway({"solve": kit.model(fake)}, ledger, retry=patient) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
        ThreadPoolExecutor() as threads,
    ):
        asked = threads.submit(kit.ask, session.socket, BODY)
        question = threads.submit(gateway.complete, SCOPE, "solve", BODY["messages"])
        while len(fake.requests) < 2:
            time.sleep(0.01)
        gateway.give_up()
        assert asked.result(10).status == 503
        with pytest.raises(ModelError, match="it is down"):
            question.result(10)
    assert session.fault == "fake:m: it is down"
    assert len(fake.requests) == 2 and ledger.spent().settled.usd == 0.0


def test_a_rollout_that_ends_in_a_pause_owes_nothing(kit: Any, ledger: Ledger) -> None:
    fake = failing(kit, *[gone() for _ in range(100)])
    patient = Retry(base=1000, ceiling=1000, deadline=10_000)
    with (
        Gateway({"solve": kit.model(fake)}, ledger, retry=patient) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        connection = kit.UnixConnection(session.socket)
        connection.request("POST", "/v1/chat/completions", json.dumps(BODY))
        while not fake.requests:
            time.sleep(0.01)
        time.sleep(0.05)
        connection.close()
    assert [(call.status, call.usd) for call in session.bill] == [("cancelled", 0.0)]
    assert session.fault is not None and "it is down" in session.fault


@pytest.mark.parametrize(
    ("error", "status", "fault"),
    [
        (ModelError("bad key", kind="refused", status=401), 502, True),
        (ModelError("no money", kind="refused", status=402), 502, True),
        (ModelError("no such model", kind="refused", status=404), 502, True),
        (ModelError("no translation", kind="refused"), 502, True),
        (ModelError("tool message without call", kind="refused", status=400), 400, False),
        (ModelError("unsupported value: top_k", kind="refused", status=400), 400, True),
        (ModelError("too long", kind="context_length", status=400), 400, False),
        (RuntimeError("a bug in the provider"), 503, True),
    ],
)
def test_whose_fault_a_failure_is(kit: Any, ledger: Ledger, error: Exception, status: int, fault: bool) -> None:
    model = kit.model(failing(kit, error), parameters={"top_k": 5})
    with (
        Gateway({"solve": model}, ledger, retry=QUICK) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        heard = kit.ask(session.socket, BODY)
        assert (heard.status, heard.headers["x-should-retry"]) == (status, "false")
        assert (heard.body["error"]["code"] == "context_length_exceeded") is (str(error) == "too long")
    assert (session.fault is not None) is fault


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_the_houses_fault(gateway: Gateway, kit: Any, tmp_path: Path) -> None:
    (tmp_path / "transcript.jsonl").symlink_to("/dev/full")
    with gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session:
        assert kit.ask(session.socket, BODY).status == 200  # answers go out before they are written down
        assert kit.ask(session.socket, BODY).status == 503
    assert session.fault is not None and "No space left" in session.fault


def test_a_client_that_stops_in_the_middle_harms_nobody(gateway: Gateway, kit: Any) -> None:
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        for half in (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n{",
            b"garb",
            b"\xff\r\n\r\n",
        ):
            connection = kit.UnixConnection(session.socket)
            connection.connect()
            connection.sock.sendall(half)
            connection.close()
        assert kit.ask(session.socket, BODY).status == 200
    assert session.fault is None and session.steps == 1


def test_an_answer_without_usage_is_charged_in_full(kit: Any) -> None:
    ledger = Ledger(None)
    silent = kit.Fake(lambda request: Completion(kit.completion(), Usage()))
    with (
        Gateway({"solve": kit.model(silent, max_output_tokens=1000)}, ledger) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        assert kit.ask(session.socket, BODY).status == 200
    assert session.bill[0].output_tokens == 1000 and session.bill[0].usd > 0.002
    assert ledger.spent().unmeasured_calls == 1


def test_dense_prompts_make_later_estimates_denser(kit: Any, tmp_path: Path) -> None:
    dense = kit.Fake(lambda request: Completion(kit.completion(), Usage(5000, 0, 0, 1)))
    path = tmp_path / "ledger.jsonl"
    with (
        Ledger(path) as ledger,
        Gateway({"solve": kit.model(dense)}, ledger) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        for _ in range(2):
            kit.ask(session.socket, BODY)
    reserved = [
        line["input_tokens"] for line in map(json.loads, path.read_text().splitlines()) if line["event"] == "reserve"
    ]
    assert reserved[0] < 100 and reserved[1] >= 5000


class Slow:
    """A provider that takes its time."""

    name = "slow"

    def __init__(self, kit: Any, seconds: float) -> None:
        self.kit = kit
        self.seconds = seconds
        self.begun = threading.Event()

    async def complete(self, request: Any, scope: Scope) -> Completion:
        self.begun.set()
        await asyncio.sleep(self.seconds)
        answered: Completion = self.kit.hello(request)
        return answered

    async def close(self) -> None:
        pass


def hang_up(kit: Any, socket_path: Path, begun: threading.Event) -> None:
    connection = kit.UnixConnection(socket_path)
    connection.request("POST", "/v1/chat/completions", json.dumps({**BODY, "stream": True}).encode())
    assert begun.wait(10)
    connection.close()


def test_who_hangs_up_pays(kit: Any, ledger: Ledger) -> None:
    slow = Slow(kit, 0.2)
    with (
        Gateway({"solve": kit.model(slow)}, ledger, drain_seconds=10) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        hang_up(kit, session.socket, slow.begun)
    assert [(call.status, call.output_tokens) for call in session.bill] == [("ok", 10)], "drained, and billed exactly"


def test_a_call_that_outlasts_its_session_is_charged_in_full(kit: Any, ledger: Ledger, tmp_path: Path) -> None:
    slow = Slow(kit, 60)
    began = time.monotonic()
    with Gateway({"solve": kit.model(slow)}, ledger, drain_seconds=0.1) as gateway:
        with gateway.session(SCOPE, log=tmp_path, caps=Caps()) as session:
            hang_up(kit, session.socket, slow.begun)
        assert time.monotonic() - began < 10
    assert [call.status for call in session.bill] == ["cancelled"] and session.bill[0].output_tokens == 8192
    assert ledger.spent().reserved_usd == 0.0 and ledger.spent().unmeasured_calls == 1
    assert session.fault is None, "the provider did nothing wrong"
    assert read_transcript(tmp_path / "transcript.jsonl")[0].error is not None


def test_a_rollout_that_ends_while_the_provider_is_away_is_void(kit: Any, ledger: Ledger) -> None:
    fake = failing(kit, *[gone() for _ in range(100)])
    with (
        Gateway({"solve": kit.model(fake)}, ledger, retry=Retry(base=1000, ceiling=1000), drain_seconds=30) as gateway,
        gateway.session(SCOPE, log=None, caps=Caps()) as session,
    ):
        begun = threading.Event()
        threading.Timer(0.3, begun.set).start()
        hang_up(kit, session.socket, begun)
        began = time.monotonic()
    assert time.monotonic() - began < 10, "nothing is at the provider, so there is nothing to wait for"
    assert session.fault is not None and "it is down" in session.fault


def test_two_sessions_know_nothing_of_each_other(gateway: Gateway, kit: Any, tmp_path: Path) -> None:
    with (
        gateway.session(Scope("evaluation-1"), log=tmp_path / "1", caps=Caps(calls=1)) as first,
        gateway.session(Scope("evaluation-2"), log=tmp_path / "2", caps=Caps(calls=3)) as second,
    ):
        assert first.directory != second.directory
        assert os.listdir(first.directory) == ["gateway.sock"]
        kit.ask(first.socket, {**BODY, "messages": [{"role": "user", "content": "mine"}]})
        assert kit.ask(first.socket, BODY).status == 402
        assert kit.ask(second.socket, BODY).status == 200
    assert (first.spent_out, second.spent_out) == ("rollout", None)
    assert (len(first.bill), len(second.bill)) == (1, 1)
    assert "mine" not in (tmp_path / "2" / "transcript.jsonl").read_text()


def test_the_scripted_models_of_a_session_stand_for_the_gateways(gateway: Gateway, kit: Any) -> None:
    fake = kit.Fake(kit.hello)
    with gateway.session(SCOPE, log=None, caps=Caps(), models={"improve": kit.model(fake)}) as session:
        assert kit.ask(session.socket, BODY).status == 404
        assert kit.ask(session.socket, {**BODY, "model": "improve"}).status == 200
    assert len(fake.requests) == 1


def test_the_socket_can_be_reached_but_not_listed_by_others(gateway: Gateway) -> None:
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        mode = stat.S_IMODE(session.socket.stat().st_mode)
        parent = stat.S_IMODE(session.directory.parent.stat().st_mode)
        assert (mode, parent) == (0o666, 0o711)
        assert len(str(session.socket)) < 108
    assert not session.directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reaches_the_socket(gateway: Gateway, kit: Any) -> None:
    code = (
        "import os, socket, sys; os.setgroups([]); os.setgid(60999); os.setuid(60999);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/models HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n');"
        "print(s.recv(15).decode())"
    )
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        done = subprocess.run([sys.executable, "-c", code, str(session.socket)], capture_output=True, text=True)
    assert done.stdout.strip() == "HTTP/1.1 200 OK", done.stderr


def test_a_path_too_long_for_a_socket_is_said(kit: Any, ledger: Ledger, tmp_path: Path) -> None:
    with (
        Gateway({"solve": kit.model()}, ledger, folder=tmp_path / ("x" * 100)) as gateway,
        pytest.raises(ModelError, match="use a shorter folder"),
        gateway.session(SCOPE, log=None, caps=Caps()),
    ):
        pass


def test_too_many_connections_are_dropped_and_others_live(gateway: Gateway, kit: Any) -> None:
    with gateway.session(SCOPE, log=None, caps=Caps()) as session:
        held = []
        for _ in range(CONNECTIONS):
            connection = kit.UnixConnection(session.socket)
            connection.connect()
            held.append(connection)
        with pytest.raises(OSError):  # reset or closed, as the kernel likes
            kit.ask(session.socket, BODY)
        for connection in held:
            connection.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                assert kit.ask(session.socket, BODY).status == 200
                break
            except OSError:
                assert time.monotonic() < deadline


def test_many_sessions_leave_nothing_behind(gateway: Gateway, kit: Any) -> None:
    def one(number: int) -> None:
        with gateway.session(Scope(f"evaluation-{number}"), log=None, caps=Caps()) as session:
            assert kit.ask(session.socket, BODY).status == 200

    one(0)
    descriptors = len(os.listdir("/proc/self/fd"))

    def ten(first: int) -> None:
        for number in range(first, first + 10):
            one(number)

    threads = [threading.Thread(target=ten, args=(first,)) for first in range(1, 81, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert gateway._sockets is not None and os.listdir(gateway._sockets) == []
    tasks = asyncio.run_coroutine_threadsafe(_tasks(), gateway._loop).result()  # type: ignore[arg-type]
    assert tasks == 1, "only the one that asks"


async def _tasks() -> int:
    await asyncio.sleep(0.05)
    return len(asyncio.all_tasks())


def test_closing_gives_everything_back(kit: Any, ledger: Ledger) -> None:
    fake = kit.Fake(kit.hello)
    gateway = Gateway({"solve": kit.model(fake), "improve": kit.model(fake)}, ledger)
    gateway.start()
    with pytest.raises(ModelError, match="started already"):
        gateway.start()
    sockets = gateway._sockets
    gateway.close()
    gateway.close()
    assert fake.closed == 1 and sockets is not None and not sockets.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "clade-gateway"]
    with pytest.raises(ModelError, match="not started"), gateway.session(SCOPE, log=None, caps=Caps()):
        pass
    with gateway:  # and it can be started again
        assert gateway.complete(SCOPE, "solve", BODY["messages"]).text == "hello"


def test_the_house_asks_with_the_same_meter(kit: Any, tmp_path: Path) -> None:
    ledger = Ledger(None, Caps(calls=1))
    fake = kit.Fake(kit.hello)
    with Gateway({"diagnose": kit.model(fake)}, ledger) as gateway:
        reply = gateway.complete(SCOPE, "diagnose", BODY["messages"], log=tmp_path, temperature=0.3, max_tokens=50)
        assert reply.text == "hello" and reply.call.role == "diagnose" and reply.call.usd > 0
        assert (fake.requests[0]["temperature"], fake.requests[0]["max_tokens"]) == (0.3, 50)
        with pytest.raises(BudgetSpent) as caught:
            gateway.complete(SCOPE, "diagnose", BODY["messages"])
        assert caught.value.whose == "run"
    assert len(read_transcript(tmp_path / "transcript.jsonl")) == 1


def test_the_house_gets_errors_not_answers(kit: Any, ledger: Ledger) -> None:
    with Gateway({"solve": kit.model(failing(kit, gone(), gone(), gone()))}, ledger, retry=QUICK) as gateway:
        with pytest.raises(ModelError, match="it is down"):
            gateway.complete(SCOPE, "solve", BODY["messages"])
        with pytest.raises(ModelError, match="there is no model 'diagnose'"):
            gateway.complete(SCOPE, "diagnose", BODY["messages"])
        with pytest.raises(BudgetSpent, match="rollout"):
            gateway.complete(SCOPE, "solve", BODY["messages"], caps=Caps(usd=0.0))
