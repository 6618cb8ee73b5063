"""The thread that owns the model: prompts first, then following, goals, and the rest."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

PROMPTS_IN_A_ROW = 16  # most prompts in a row while other jobs wait
Result = TypeVar("Result")


class Rank(IntEnum):
    """Ranks of jobs, highest first."""

    PROMPT = 0
    FOLLOW = 1
    GOAL = 2
    OFFER = 3


class OverloadedError(Exception):
    """The queue of requests is full."""


@dataclass(frozen=True)
class _Request:
    answer: Future
    job: Callable[[], Any]
    then: Callable[[Any], None] | None


@dataclass
class _Offer:
    """A named slot: its waiting job, when the previous one began, and until when it rests."""

    job: Callable[[], None] | None = None
    begun: float = float("-inf")
    interval_s: float = 0.0
    rank: Rank = Rank.OFFER
    rests_until: float = float("-inf")

    def is_due(self) -> bool:
        return self.job is not None and self.seconds_left() == 0.0

    def seconds_left(self) -> float:
        return max(0.0, self.begun + self.interval_s - time.monotonic())

    def rank_now(self) -> Rank:
        return Rank.OFFER if time.monotonic() < self.rests_until else self.rank

    def take(self) -> Callable[[], None]:
        job, self.job, self.begun = self.job, None, time.monotonic()
        assert job is not None
        return job

    def has_ended(self) -> None:
        now = time.monotonic()
        self.rests_until = now + (now - self.begun)


class Worker:
    """Runs jobs one at a time in its own thread.

    There are two kinds. A request (`ask`) waits in a bounded queue and is answered through a
    future, which may be cancelled. An offer (`offer`) runs while no request of a higher rank
    waits, and is replaced by a newer one with its name. A long job calls `step_aside` between its
    steps, so that jobs of higher rank need not wait for its end.

    Three rules determine which job runs next:
    1. By rank; within a rank, requests in order of arrival, then the offer that has waited longest.
    2. After `PROMPTS_IN_A_ROW` prompts while others waited, one of the others, FOLLOW and GOAL
       alternating, so that a flood of prompts stops neither.
    3. A job offered as FOLLOW rests for as long as it took: until then the next one with its name
       ranks as OFFER. So following every cloud leaves half of the time to goals.

    Args:
        on_error: called in the worker's thread with the exception of an offered job or a `then`.
    """

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._changed = threading.Condition()
        self._requests: dict[Rank, deque[_Request]] = {Rank.PROMPT: deque(), Rank.GOAL: deque()}
        self._offers: dict[str, _Offer] = {}
        self._prompts_in_a_row = 0  # run while others waited
        self._others = [Rank.FOLLOW, Rank.GOAL]  # alternate; the last to run is last
        self._running: list[tuple[Rank, Future | None]] = []  # a stack: the last one runs
        self._stopped: Callable[[], Exception] | None = None
        self._thread = threading.Thread(target=self._run, name="pointsam worker", daemon=True)
        self._thread.start()

    def ask(
        self,
        job: Callable[[], Result],
        then: Callable[[Result], None] | None = None,
        max_pending: int | None = None,
        rank: Rank = Rank.PROMPT,
    ) -> Future[Result]:
        """Queues a request.

        Args:
            job: computes the answer.
            then: called with the answer in the worker's thread once the future has it.
            max_pending: most requests of its rank that may wait; None: any number.
            rank: PROMPT, or GOAL for a long job.

        Raises:
            OverloadedError: `max_pending` requests are already waiting.
        """
        answer: Future[Result] = Future()
        with self._changed:
            if self._stopped is not None:
                answer.set_exception(self._stopped())
                return answer
            queue = deque(
                request for request in self._requests[rank] if not request.answer.cancelled()
            )
            if max_pending is not None and len(queue) >= max_pending:
                raise OverloadedError(f"{len(queue)} requests wait already")
            queue.append(_Request(answer, job, then))
            self._requests[rank] = queue
            self._changed.notify()
        return answer

    def offer(
        self,
        name: str,
        job: Callable[[], None],
        min_interval_s: float = 0.0,
        rank: Rank = Rank.OFFER,
    ) -> bool:
        """Offers a job to run when no request of a higher rank waits.

        Args:
            name: the job's slot, in which one job waits at a time.
            job: replaces the waiting job with this name, if any.
            min_interval_s: least time from the start of the previous job with this name to the
                start of this one [s].
            rank: OFFER, or FOLLOW for a job that may interrupt goals, half of the time.

        Returns:
            Whether a waiting job was replaced, and so will never run.
        """
        with self._changed:
            slot = self._offers.setdefault(name, _Offer())
            replaced = slot.job is not None
            if self._stopped is None:
                slot.job, slot.interval_s, slot.rank = job, min_interval_s, rank
                self._changed.notify()
        return replaced

    def waiting(self, rank: Rank) -> int:
        """Number of waiting requests of a rank."""
        with self._changed:
            return sum(not request.answer.cancelled() for request in self._requests[rank])

    def step_aside(self) -> bool:
        """Called by a running job: runs all waiting jobs of higher rank.

        Jobs that arrive meanwhile wait for the next call, so that a flood cannot block this job.

        Returns:
            Whether the job must end: it was cancelled, or the worker is stopping.
        """
        rank, answer = self._running[-1]
        with self._changed:
            higher = self._in_turn(rank)
            waiting = self._count(lambda other: other in higher)
        for _ in range(waiting):
            if (job := self._locked_next(rank)) is not None:
                job()
        return self._stopped is not None or (answer is not None and answer.cancelled())

    @property
    def stopped(self) -> bool:
        """Whether the worker is stopping or has stopped."""
        return self._stopped is not None

    def stop(self, reason: Callable[[], Exception]) -> None:
        """Ends the thread after the running job; waiting requests fail at once.

        Args:
            reason: makes a new exception for each of them, since a raised one keeps references to
                the frames it passed.
        """
        with self._changed:
            self._stopped = reason
            waiting = [request.answer for queue in self._requests.values() for request in queue]
            waiting += [answer for _, answer in self._running if answer is not None]
            for queue in self._requests.values():
                queue.clear()
            self._offers.clear()
            self._changed.notify()
        for answer in waiting:
            _settle(answer, error=reason())

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the thread to end after `stop`; returns whether it has."""
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

    def _locked_next(self, below: Rank) -> Callable[[], None] | None:
        with self._changed:
            return self._next_job(below)

    def _next_job(self, below: Rank | None = None) -> Callable[[], None] | None:
        """The next job, already counted as running; only of ranks above `below`."""
        if self._stopped is not None:
            return None
        for rank in self._in_turn(below):
            if (job := self._next_request(rank) or self._next_offer(rank)) is not None:
                return job
        return None

    def _in_turn(self, below: Rank | None) -> list[Rank]:
        """The ranks in their current order.

        Args:
            below: rank of the job that steps aside; only higher ones are returned. None: all.
        """
        order = list(Rank)
        if self._prompts_in_a_row >= PROMPTS_IN_A_ROW:
            order = [*self._others, Rank.PROMPT, Rank.OFFER]
        return [rank for rank in order if below is None or rank < below]

    def _count(self, of_rank: Callable[[Rank], bool]) -> int:
        """Number of waiting jobs of some ranks that may begin."""
        requests = sum(len(queue) for rank, queue in self._requests.items() if of_rank(rank))
        return requests + sum(
            slot.is_due() and of_rank(slot.rank_now()) for slot in self._offers.values()
        )

    def _next_request(self, rank: Rank) -> Callable[[], None] | None:
        queue = self._requests.get(rank, deque())
        while queue:
            request = queue.popleft()
            if not request.answer.cancelled():
                self._begin(rank, request.answer)
                return lambda: self._answer(request)
        return None

    def _next_offer(self, rank: Rank) -> Callable[[], None] | None:
        """The due job whose slot has waited longest."""
        due = [slot for slot in self._offers.values() if slot.is_due() and slot.rank_now() == rank]
        if not due:
            return None
        slot = min(due, key=lambda slot: slot.begun)
        job = slot.take()
        self._begin(slot.rank, None)
        return lambda: self._offered(slot, job)

    def _seconds_to_offer(self) -> float | None:
        """Time until an offered job may begin; None: nothing is offered."""
        waiting = [slot.seconds_left() for slot in self._offers.values() if slot.job]
        return min(waiting, default=None)

    def _answer(self, request: _Request) -> None:
        try:
            result = request.job()
        except Exception as error:
            _settle(request.answer, error=error)
        else:
            if _settle(request.answer, result) and request.then is not None:
                then = request.then
                self._guarded(lambda: then(result))
        self._ended()

    def _offered(self, slot: _Offer, job: Callable[[], None]) -> None:
        self._guarded(job)
        self._ended()
        slot.has_ended()

    def _begin(self, rank: Rank, answer: Future | None) -> None:
        passes = rank == Rank.PROMPT and self._count(lambda other: other in self._others) > 0
        self._prompts_in_a_row = self._prompts_in_a_row + 1 if passes else 0
        if rank in self._others:
            self._others.remove(rank)
            self._others.append(rank)
        self._running.append((rank, answer))

    def _ended(self) -> None:
        with self._changed:
            self._running.pop()

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self._on_error(error)


def _settle(answer: Future, result: Any = None, error: BaseException | None = None) -> bool:
    """Completes a future; False if it already was, for example by cancellation."""
    try:
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)
    except InvalidStateError:
        return False
    return True
