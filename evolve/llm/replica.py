"""One replica of a service: its connection, our calls there, its own figures, and whether it takes calls now."""

from __future__ import annotations

import asyncio

import aiohttp

from evolve.llm.base import Completion, Json, ModelError, Provider, Scope
from evolve.llm.http_client import proxy_of
from evolve.llm.roster import Endpoint
from evolve.vllm import Reading, read_metrics

FIRST_REST = 1.0
LONGEST_REST = 60.0
"""A replica that lost its calls is left alone for a second, twice as long when it loses them again, up to this."""
LOST = frozenset({502, 503})
"""Answers of a replica, or of a proxy before it, that is not in service."""
LOOK_TIMEOUT = 5.0
"""For /metrics to answer."""
LOOK_LIMIT = 4 * 1024 * 1024
"""Bytes of /metrics that are read at most."""
SILENT_LOOKS = 6
"""Looks in a row without an answer after which a replica that used to answer them is hung: half a minute or more."""
IDLE_LOOKS = 36
"""Looks in a row at which it had calls to work on and no token more than before, after which it is hung as well: three
minutes, longer than any prompt takes to be read."""
COUNTS_EACH_TOKEN = "vllm:generation_tokens"
"""Only of vLLM is that known: others count the tokens of an answer when it is complete."""


class Replica:
    """Belongs to the gateway's event loop. Times are those of the loop's clock."""

    def __init__(self, endpoint: Endpoint, provider: Provider) -> None:
        """`provider` speaks to the one server at `endpoint`, and is closed with the replica."""
        self.endpoint = endpoint
        self.calls = 0
        self.reading: Reading | None = None
        """Its own figures, of the last look that was answered; None if it tells none."""
        self.connected = True
        """False from a connection that failed to one that did not."""
        self._provider = provider
        self._client: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Timeout] = set()
        self._failures = 0
        self._rests_until = 0.0
        self._silent = 0
        self._idle = 0
        self._preempted: int | None = None

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def waiting(self) -> int:
        return (self.reading.waiting or 0) if self.reading is not None else 0

    @property
    def hung(self) -> bool:
        return self._silent >= SILENT_LOOKS or self._idle >= IDLE_LOOKS

    def ready(self, now: float) -> bool:
        """Whether it takes calls."""
        return self.endpoint.ready and self.connected and now >= self._rests_until and not self.hung

    def why(self, now: float) -> str:
        """Why it takes no calls now; empty if it does."""
        if not self.endpoint.ready:
            return self.endpoint.why or "not ready"
        if self.hung:
            return "it hangs"
        if not self.connected:
            return "no connection"
        return "it lost a call a moment ago" if now < self._rests_until else ""

    async def complete(self, request: Json, scope: Scope) -> Completion:
        """As `Provider.complete`; a call is given up when the replica is (`abandon`). Raises: `ModelError`."""
        self.calls += 1
        try:
            async with asyncio.timeout(None) as until_given_up:
                self._under_way.add(until_given_up)
                try:
                    completion = await self._provider.complete(request, scope)
                finally:
                    self._under_way.discard(until_given_up)
        except TimeoutError:
            why = self.endpoint.why or "it hangs"
            raise ModelError(f"the replica {self.name} was given up ({why})", kind="unavailable", status=503) from None
        finally:
            self.calls -= 1
        self.connected = True
        self._failures = 0
        return completion

    def lost(self, error: ModelError, now: float) -> bool:
        """Whether an error means that the replica is not in service; it is left alone for a while then."""
        disconnected = error.status is None and _of_connection(error.__cause__)
        if error.status not in LOST and not disconnected:
            return False
        if now >= self._rests_until:  # the calls that are lost with one server are one failure
            self._rests_until = now + min(LONGEST_REST, FIRST_REST * 2.0 ** min(self._failures, 30))
            self._failures += 1
        if disconnected:
            self.connected = False
        return True

    def abandon(self) -> None:
        """Give up all calls under way: the server that worked on them is lost."""
        while self._under_way:
            self._under_way.pop().reschedule(0.0)

    async def look(self) -> None:
        """Read its own figures. No error is raised: what goes wrong tells of the replica."""
        if self._client is None:
            socket = self.endpoint.socket
            self._client = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector(),
                timeout=aiohttp.ClientTimeout(total=LOOK_TIMEOUT),
                proxy=None if socket else proxy_of(self.endpoint.url),
            )
        try:
            async with self._client.get(metrics_of(self.endpoint.url), allow_redirects=False) as response:
                text = (await _read(response)).decode("utf-8", "replace")
        except TimeoutError:
            self._silent += self.reading is not None  # one that never told its figures may be slow at refusing to
            return
        except (aiohttp.ClientError, OSError, ValueError):  # ValueError: an address that is none
            self.connected = False
            self._take(None, progress=True)
            return
        self.connected = True
        reading = read_metrics(text) if response.status == 200 else Reading()
        told = reading if reading.running is not None else None
        self._take(told, progress=COUNTS_EACH_TOKEN not in text or not _idle(self.reading, reading))

    def preempted(self) -> int:
        """Calls that it threw out of its full memory since this was asked last."""
        before, now = self._preempted, None if self.reading is None else self.reading.preempted
        self._preempted = now
        return 0 if before is None or now is None else max(0, now - before)

    async def close(self) -> None:
        await self._provider.close()
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _take(self, reading: Reading | None, *, progress: bool) -> None:
        self.reading, self._silent = reading, 0
        self._idle = 0 if progress else self._idle + 1


def metrics_of(url: str) -> str:
    """Where the server at a base URL tells its figures."""
    return url.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1") + "/metrics"


def _idle(before: Reading | None, now: Reading) -> bool:
    """Whether a server has calls to work on, and has neither read nor written a token since the last look."""
    if before is None or not now.running:
        return False
    return (before.prompt, before.generated) == (now.prompt, now.generated)


def _of_connection(cause: BaseException | None) -> bool:
    """Whether a call failed because there was no server, or because it went away; not because it was slow."""
    if isinstance(cause, TimeoutError):
        return isinstance(cause, aiohttp.ConnectionTimeoutError)
    return isinstance(cause, aiohttp.ClientError | OSError) and not isinstance(cause, aiohttp.InvalidURL)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > LOOK_LIMIT:
            break
    return bytes(content)
