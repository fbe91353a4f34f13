"""Traffic in virtual time: what calls come to, and how a service's other callers fare after it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from evolve.llm import Limits, ModelError, Traffic, Usage
from evolve.llm.breaker import SUSPICIOUS
from evolve.llm.traffic import LONG_PAUSE, LONGEST_PAUSE, REFUSALS

Virtual = Callable[..., Any]
MODEL = "mine:m"
SOME = Usage(10, 0, 0, 5)


def failure(status: int | None = None, after: float | None = None, kind: str = "unavailable") -> ModelError:
    return ModelError(f"mine answered {status}", kind=kind, status=status, retry_after=after)  # type: ignore[arg-type]


class Service:
    """A service as callers meet it: each call takes a second, and comes to what `state` says at its end."""

    def __init__(self, loop: Any, *, limits: Limits | None = None, workers_tries: int = 100) -> None:
        self.loop = loop
        self.traffic = Traffic({"mine": limits or Limits()}, clock=loop.time, rng=random.Random(0))
        self.traffic.ask = self.question
        self.state: ModelError | None = None
        self.calls: list[float] = []
        """When each was sent."""
        self.questions: list[float] = []
        self.tries = workers_tries

    async def question(self, label: str) -> None:
        assert label == MODEL
        self.questions.append(self.loop.time())
        await asyncio.sleep(0.5)
        if self.state is not None:
            raise self.state

    async def call(self, whose: str = "a", seconds: float = 1.0) -> None:
        passed = await self.traffic.enter("mine", 100, whose)
        self.calls.append(self.loop.time())
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.traffic.left(passed)
            raise
        if self.state is not None:
            self.traffic.failed(passed, MODEL, self.state)
            raise self.state
        self.traffic.answered(passed, MODEL, seconds, SOME)

    async def work(self, whose: str) -> None:
        """Call until it is answered, as a rollout does, without pauses of its own."""
        for _ in range(self.tries):
            try:
                return await self.call(whose)
            except ModelError:
                await asyncio.sleep(0.01)
        raise AssertionError(f"{whose} was never answered")

    async def fail(self, times: int, error: ModelError) -> None:
        before, self.state = self.state, error
        for _ in range(times):
            with pytest.raises(ModelError):
                await self.call()
        self.state = before


def test_a_service_without_limits_is_never_waited_for(virtual: Virtual) -> None:
    async def main(loop: Any) -> float:
        service = Service(loop)
        await asyncio.gather(*(service.call(str(number)) for number in range(500)))
        return loop.time()

    assert virtual(main) == 1.0


def test_what_a_call_did_not_need_is_free_for_the_next(virtual: Virtual) -> None:
    """Each sets 100 tokens aside and needs 15: ten of them fit where only one would."""

    async def main(loop: Any) -> list[float]:
        service = Service(loop, limits=Limits(tokens_per_minute=175))
        for _ in range(4):
            await service.call()
        await asyncio.gather(*(service.call() for _ in range(2)))
        return service.calls

    assert virtual(main) == pytest.approx([0, 1, 2, 3, 4, 5])


def test_it_is_crowded_where_limits_keep_callers_waiting_for_long(virtual: Virtual) -> None:
    async def main(loop: Any) -> list[bool]:
        service, seen = Service(loop, limits=Limits(concurrent=1)), []
        waiting = [asyncio.create_task(service.call(name, seconds=7)) for name in "ab"]
        for _ in range(16):
            await asyncio.sleep(1)
            seen.append(service.traffic.crowded())
        await asyncio.gather(*waiting)
        return seen

    seen = virtual(main)  # at the end of seconds 1, 2, 3…
    assert (seen[:4], seen[4:6], set(seen[7:])) == ([False] * 4, [True] * 2, {False})


def test_retry_after_holds_everybody_back_and_nobody_storms(virtual: Virtual) -> None:
    async def main(loop: Any) -> Service:
        service = Service(loop)
        await service.fail(1, failure(429, after=20))
        await asyncio.gather(*(service.work(str(number)) for number in range(16)))
        return service

    service = virtual(main)
    after = service.calls[1:]
    assert len(after) == 16 and len(set(after)) == 16
    assert min(after) >= 21


def test_a_storm_of_429s_ends_with_as_many_calls_at_once_as_the_service_takes(virtual: Virtual) -> None:
    """The service takes four at once and refuses the others, saying nothing of when to come again."""
    refused: list[float] = []
    at_once: list[int] = []

    async def main(loop: Any) -> Service:
        service = Service(loop)
        inside = 0

        async def call(whose: str) -> bool:
            nonlocal inside
            passed = await service.traffic.enter("mine", 1, whose)
            inside += 1
            at_once.append(inside)
            fits = inside <= 4
            await asyncio.sleep(1 if fits else 0.01)
            inside -= 1
            if fits:
                service.traffic.answered(passed, MODEL, 1.0, SOME)
            else:
                refused.append(loop.time())
                service.traffic.failed(passed, MODEL, failure(429))
            return fits

        async def worker(whose: str) -> None:
            for _ in range(20):
                while not await call(whose):
                    await asyncio.sleep(0.1)

        await asyncio.gather(*(worker(str(number)) for number in range(16)))
        assert service.traffic.outages() == () and service.questions == []
        return service

    virtual(main)
    assert len(at_once) - len(refused) == 320
    first, later = refused[: 16 - 4], refused[16 - 4 :]
    assert len(first) == 12 and max(first) < 1, "the first round, before anything was known"
    assert len(later) < 40, "then one now and then, to see whether more fit by now"
    assert max(at_once[16:]) <= 8


def test_429s_that_go_on_are_met_with_growing_pauses(virtual: Virtual) -> None:
    async def main(loop: Any) -> list[float]:
        service = Service(loop)
        for _ in range(8):
            await service.fail(1, failure(429))
        return service.calls

    times = virtual(main)
    gaps = [late - early for early, late in itertools.pairwise(times)]
    for number, gap in enumerate(gaps):
        longest = min(60.0, 2.0**number)
        assert longest / 2 <= gap - 1 <= longest + 1


def test_a_flake_among_answers_is_no_outage(virtual: Virtual) -> None:
    async def main(loop: Any) -> Service:
        service = Service(loop)
        for _ in range(10):
            await service.fail(SUSPICIOUS - 1, failure(500))
            await service.call()
        return service

    assert virtual(main).questions == []


def test_an_outage_is_seen_waited_for_and_over_at_the_first_answer(virtual: Virtual) -> None:
    async def main(loop: Any) -> Service:
        service = Service(loop)
        service.state = failure(503)
        workers = [asyncio.create_task(service.work(str(number))) for number in range(8)]
        await asyncio.sleep(100)
        (outage,) = service.traffic.outages()
        assert outage.service == "mine" and "503" in outage.reason and 0 <= outage.next_try <= 60
        assert service.traffic.hopeless("mine") == "mine answered 503"
        sent = len(service.calls)
        assert sent == 8, "all that were under way, and not one more"
        service.state = None
        await asyncio.gather(*workers)
        assert service.traffic.outages() == ()
        back = service.calls[sent:]
        assert len(set(back)) == 8, "and then not all at once"
        return service

    service = virtual(main)
    gaps = [late - early for early, late in itertools.pairwise(service.questions)]
    assert gaps[:6] == pytest.approx([1.5, 2.5, 4.5, 8.5, 16.5, 32.5]), "one question at a time"


def test_a_request_that_a_server_chokes_on_is_no_outage(virtual: Virtual) -> None:
    """The question is answered, so nobody else is kept waiting, and no pause is shown."""

    async def main(loop: Any) -> Service:
        service = Service(loop)

        async def poison() -> None:
            passed = await service.traffic.enter("mine", 1, "poison")
            service.traffic.failed(passed, MODEL, failure(500))

        for _ in range(5 * SUSPICIOUS):
            await poison()
            assert service.traffic.outages() == ()
        await asyncio.sleep(1)
        await service.call()
        return service

    service = virtual(main)
    assert len(service.questions) == 5
    assert service.traffic.hopeless("mine") is None


def test_a_late_answer_ends_an_outage_before_the_question_does(virtual: Virtual) -> None:
    async def main(loop: Any) -> Service:
        service = Service(loop)
        late = asyncio.create_task(service.call("late", seconds=50))
        await asyncio.sleep(1)
        await service.fail(SUSPICIOUS, failure(None))
        service.state = failure(None)
        await asyncio.sleep(20)
        assert service.traffic.outages() != ()
        service.state = None
        await late
        assert service.traffic.outages() == ()
        asked = len(service.questions)
        for _ in range(3):
            await service.call()
        await asyncio.sleep(500)
        assert len(service.questions) == asked, "nobody asks any more"
        return service

    virtual(main)


def test_a_service_that_asks_for_a_long_rest_is_shown_and_left_alone(virtual: Virtual) -> None:
    async def main(loop: Any) -> Service:
        service = Service(loop)
        await service.fail(1, failure(429, after=LONG_PAUSE * 10))
        (outage,) = service.traffic.outages()
        assert outage.next_try == LONG_PAUSE * 10
        await service.call()
        assert service.traffic.outages() == ()
        return service

    assert virtual(main).calls[1] >= LONG_PAUSE * 10


def test_nobody_is_sent_away_for_longer_than_an_hour(virtual: Virtual) -> None:
    async def main(loop: Any) -> float:
        service = Service(loop)
        await service.fail(1, failure(429, after=1e9))
        await service.call()
        return float(loop.time())

    assert LONGEST_PAUSE <= virtual(main) < LONGEST_PAUSE + 10


def test_another_service_does_not_suffer(virtual: Virtual) -> None:
    async def main(loop: Any) -> float:
        service = Service(loop)
        service.state = failure(503)
        await service.fail(SUSPICIOUS, failure(503))
        await asyncio.sleep(2)
        assert service.traffic.outages()
        return (await service.traffic.enter("theirs", 1)).waited

    assert virtual(main) == 0.0


def test_who_gives_up_waits_for_no_outage_but_for_limits(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        service = Service(loop, limits=Limits(concurrent=1))
        under_way = asyncio.create_task(service.call("a", seconds=5))
        queued = asyncio.create_task(service.call("b"))
        await asyncio.sleep(1)
        service.traffic.give_up()
        await asyncio.gather(under_way, queued)

        away = Service(loop)
        await away.fail(SUSPICIOUS, failure(503))
        away.state = failure(503)
        waiting = asyncio.create_task(away.call())
        await asyncio.sleep(3)
        away.traffic.give_up()
        with pytest.raises(ModelError, match="not waited for any longer: mine answered 503"):
            await waiting
        with pytest.raises(ModelError, match="not waited for"):
            await away.call()
        await away.traffic.close()

    virtual(main)


def test_nothing_is_asked_after_the_end(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        service = Service(loop)
        service.state = failure(503)
        await service.fail(SUSPICIOUS, failure(503))
        await service.traffic.close()
        asked = len(service.questions)
        await asyncio.sleep(1000)
        assert len(service.questions) == asked

    virtual(main)


@pytest.mark.parametrize(
    ("status", "cure"), [(401, ""), (402, "pay at the service"), (403, ""), (404, "check the name")]
)
def test_what_no_retry_can_mend_is_known_at_once(virtual: Virtual, status: int, cure: str) -> None:
    async def main(loop: Any) -> str | None:
        service = Service(loop)
        assert service.traffic.refusal() is None
        await service.fail(1, failure(status, kind="refused"))
        return service.traffic.refusal()

    said = virtual(main)
    assert said is not None and said.startswith(f"{MODEL}: mine answered {status}") and cure in said


def test_one_refusal_after_answers_is_not_believed_but_several_are(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        service = Service(loop)
        await service.call()
        for _ in range(3):
            await service.fail(REFUSALS - 1, failure(401, kind="refused"))
            assert service.traffic.refusal() is None
            await service.call()
        await service.fail(REFUSALS, failure(401, kind="refused"))
        assert service.traffic.refusal() is not None

    virtual(main)


def test_a_request_that_the_service_does_not_like_is_the_agents_matter(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        service = Service(loop)
        await service.fail(10, failure(400, kind="refused"))
        await service.fail(10, failure(400, kind="context_length"))
        assert service.traffic.refusal() is None and service.traffic.outages() == ()

    virtual(main)


def test_a_model_that_froze_is_known_by_its_own_speed(virtual: Virtual) -> None:
    async def main(loop: Any) -> None:
        service = Service(loop)
        assert service.traffic.stalled("mine", MODEL, 10_000) == 0.0, "nothing is known of it yet"
        for _ in range(5):
            await service.call(seconds=2)
        assert service.traffic.stalled("mine", MODEL, 20) == 0.0
        assert service.traffic.stalled("mine", MODEL, 500) == 470

    virtual(main)
