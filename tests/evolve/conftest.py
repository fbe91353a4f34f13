"""What the tests of the loop share: one cache, so that the benchmark's tasks are proven once for all of them."""

import pytest

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
