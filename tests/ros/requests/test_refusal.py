"""`refusal`: what a refusal leaves behind."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator

import pytest

from pointsam_ros.codes import Code
from pointsam_ros.refusal import Refusal, forget_frames
from pointsam_ros.work.worker import Worker

WAIT_S = 5.0


class Cloud:
    """Something that is held by who looks at it."""


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(lambda error: None)
    gc.disable()  # what only the collector would free counts as held
    yield made
    gc.enable()
    made.stop(RuntimeError("the test is over"))
    assert made.join(WAIT_S)


def refused(worker: Worker, *, forget: bool) -> weakref.ref[Cloud]:
    """A cloud that a refused request has looked at."""
    looked_at: list[weakref.ref[Cloud]] = []

    def job() -> None:
        cloud = Cloud()
        looked_at.append(weakref.ref(cloud))
        try:
            raise ValueError("too far")
        except ValueError as error:
            raise Refusal(Code.TOO_FAR, f"{cloud} is too far") from error

    answer = worker.ask(job)
    try:
        answer.result(WAIT_S)
    except Refusal as refusal:
        if forget:
            forget_frames(refusal)
    return looked_at[0]


def test_a_refusal_that_forgets_its_frames_holds_no_cloud(worker: Worker) -> None:
    assert refused(worker, forget=False)() is not None, "an error holds what it came through"
    cloud = refused(worker, forget=True)
    worker.ask(lambda: None).result(WAIT_S)  # the worker has left the refused job
    deadline = time.monotonic() + WAIT_S
    while cloud() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cloud() is None
