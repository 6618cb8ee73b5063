"""ROS domains for tests, so that none hears another."""

from __future__ import annotations

import itertools
import os

LAST = 101  # higher ones use ports that Linux gives away
_taken = itertools.count()


def free_domain() -> int:
    """A domain that no other test uses now. The processes of pytest-xdist have disjoint shares."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = LAST // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return 1 + worker * share + (7 * os.getpid() + next(_taken)) % share
