"""What the tests of the loop share: one cache, so that the benchmark's tasks are proven once for all of them."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()
