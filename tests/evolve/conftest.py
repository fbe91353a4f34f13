"""What the tests of the loop share: a cache of proven tasks, boxes, a house, and a server that goes and comes back."""

import asyncio
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

from evolve.house import House
from evolve.llm import Gateway, Ledger, Model, Price, Tripwire
from evolve.scratch import clear_scratch, open_scratch
from sandbox import SandboxError, open_sandbox


@pytest.fixture(scope="session", autouse=True)
def one_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def boxes():
    """For tests that run a whole `clade run`: they need bubblewrap to work here."""
    try:
        open_sandbox("bwrap").close()
    except SandboxError as error:
        pytest.skip(f"bwrap does not work here, so no run was made: {error}")


@pytest.fixture(scope="module")
def sandbox(boxes):
    """Bubblewrap, opened."""
    opened = open_sandbox("bwrap")
    yield opened
    opened.close()


@contextmanager
def house_of(folder, sandbox, provider, settings, tripwire=None):
    """A house with a model for each role, made by `provider`, that costs nothing; its working files are in `folder`."""
    models = {role: Model(provider(), "m", Price(0.0, 0.0)) for role in ("solve", "improve", "diagnose")}
    scratch = open_scratch(folder)
    with Gateway(models, Ledger(None), folder=scratch, tripwire=tripwire) as gateway:
        yield House(settings, sandbox, gateway, scratch, tripwire or Tripwire())
    clear_scratch(folder)


class Listener:
    """Who is told what happens in a run: remembers some of it, and says nothing."""

    def __init__(self):
        self.said, self.rows, self.outages, self.began_out = [], [], [], []
        """Lines; closed rows; what services were out, each time it was told; rows opened while one was."""
        self.out = False

    def opened(self, row):
        if self.out:
            self.began_out.append(row)

    def closed(self, row):
        self.rows.append(row)

    def tick(self, view):
        pass

    def say(self, text):
        self.said.append(text)

    def paused(self, outages):
        self.out = bool(outages)
        self.outages.append(outages)


class Loopback:
    """An HTTP server on loopback, in a thread of its own, that can stop listening and listen again at the same port."""

    def __init__(self, answer):
        """`answer` is an aiohttp handler."""
        self.answer = answer
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def open(self):
        self._do(self._open())

    def shut(self):
        """Nobody listens any more: connections are refused until `open`."""
        self._do(self._runner.cleanup())

    def leave(self):
        """As `shut`, for a handler: it is on the server's own thread, and does not wait."""
        self._leaving = self._loop.create_task(self._runner.cleanup())

    def stop(self):
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self):
        self._runner = web.ServerRunner(web.Server(self.answer, access_log=None), shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]


@pytest.fixture(scope="session")
def shared():
    """What test files here would import from each other if they could."""
    return SimpleNamespace(house_of=house_of, Listener=Listener, Loopback=Loopback)
