"""A test that cannot run says so loudly, in CI a sandbox that cannot run is a failure, and laws are tried briefly."""

import os
import re

import pytest
from hypothesis import settings

# Half of the examples that hypothesis takes by itself, which `--hypothesis-profile default` brings back, and no
# deadline: a busy machine is no fault.
settings.register_profile("brief", settings(), max_examples=50, deadline=None)
settings.load_profile("brief")

SANDBOX = re.compile(r"sandbox|bwrap|bubblewrap|docker", re.IGNORECASE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip for want of a sandbox into a failure where CI is set."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if SANDBOX.search(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI does not accept: {reason}"
    return report
