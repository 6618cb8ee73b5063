"""The one thread that owns the model: requests first, in their order, then the newest cloud."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

Result = TypeVar("Result")


class OverloadedError(Exception):
    """As many requests wait as may wait."""


class Worker:
    """Runs jobs one at a time in its own thread.

    Two kinds: a request (`ask`) waits in a bounded queue and gets its answer through a future; an
    offer (`offer`) runs while no request waits, and a newer one replaces the one that waits.

    Args:
        on_error: called in the worker's thread with what an offered job or a `then` raised.
    """

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._changed = threading.Condition()
        self._requests: deque[tuple[Future, Callable[[], Any], Callable[[Any], None] | None]]
        self._requests = deque()
        self._running: Future | None = None
        self._offer: Callable[[], None] | None = None
        self._offer_begun = 0.0
        self._offer_interval = 0.0
        self._stopped: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pointsam worker", daemon=True)
        self._thread.start()

    def ask(
        self,
        job: Callable[[], Result],
        then: Callable[[Result], None] | None = None,
        max_pending: int | None = None,
    ) -> Future[Result]:
        """Queues a request.

        Args:
            job: what answers it.
            then: called with the answer in the worker's thread once the future has it.
            max_pending: most requests that may wait; None: any number.

        Raises:
            OverloadedError: `max_pending` requests wait already.
        """
        answer: Future[Result] = Future()
        with self._changed:
            if self._stopped is not None:
                answer.set_exception(self._stopped)
                return answer
            if max_pending is not None and len(self._requests) >= max_pending:
                raise OverloadedError(f"{len(self._requests)} requests wait already")
            self._requests.append((answer, job, then))
            self._changed.notify()
        return answer

    def offer(self, job: Callable[[], None], min_interval_s: float = 0.0) -> bool:
        """Leaves a job for when no request waits.

        Args:
            job: replaces the offered job that has not begun.
            min_interval_s: time from the beginning of the previous offered job to this one's [s].

        Returns:
            Whether a job was replaced, and so will never run.
        """
        with self._changed:
            replaced = self._offer is not None
            if self._stopped is None:
                self._offer, self._offer_interval = job, min_interval_s
                self._changed.notify()
        return replaced

    def stop(self, reason: Exception) -> None:
        """Ends the thread after the job that runs now; whoever waits gets `reason` at once."""
        with self._changed:
            self._stopped = reason
            waiting = [answer for answer, _, _ in self._requests]
            if self._running is not None:
                waiting.append(self._running)
            self._requests.clear()
            self._offer = None
            self._changed.notify()
        for answer in waiting:
            _settle(answer, error=reason)

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the thread's end after `stop`; whether it has come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                while (job := self._next_job()) is None:
                    if self._stopped is not None:
                        return
                    self._changed.wait(self._seconds_to_offer())
            job()
            with self._changed:
                self._running = None

    def _next_job(self) -> Callable[[], None] | None:
        if self._stopped is not None:
            return None
        if self._requests:
            answer, job, then = self._requests.popleft()
            self._running = answer
            return lambda: self._answer(answer, job, then)
        if self._offer is not None and self._seconds_to_offer() == 0.0:
            offered, self._offer = self._offer, None
            self._offer_begun = time.monotonic()
            return lambda: self._guarded(offered)
        return None

    def _seconds_to_offer(self) -> float | None:
        """Time until the offered job may begin; None: nothing is offered."""
        if self._offer is None:
            return None
        return max(0.0, self._offer_begun + self._offer_interval - time.monotonic())

    def _answer(
        self, answer: Future, job: Callable[[], Any], then: Callable[[Any], None] | None
    ) -> None:
        try:
            result = job()
        except Exception as error:
            _settle(answer, error=error)
            return
        if _settle(answer, result) and then is not None:
            self._guarded(lambda: then(result))

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self._on_error(error)


def _settle(answer: Future, result: Any = None, error: BaseException | None = None) -> bool:
    """Gives a future its end; False where it has one: `stop` and the job may both come to it."""
    try:
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)
    except InvalidStateError:
        return False
    return True
