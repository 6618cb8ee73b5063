"""The one thread that owns the model: prompts first, then who follows, goals, and the rest."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

PROMPTS_IN_A_ROW = 16  # while others wait: then it is their turn
Result = TypeVar("Result")


class Rank(IntEnum):
    """Who comes first."""

    PROMPT = 0
    FOLLOW = 1
    GOAL = 2
    OFFER = 3


class OverloadedError(Exception):
    """As many requests wait as may wait."""


@dataclass(frozen=True)
class _Request:
    answer: Future
    job: Callable[[], Any]
    then: Callable[[Any], None] | None


@dataclass
class _Offer:
    """A slot: the job that waits in it, when the previous one began, and until when it rests."""

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

    Two kinds: a request (`ask`) waits in a bounded queue and gets its answer through a future,
    which may be cancelled; an offer (`offer`) runs while no request of a higher rank waits, and a
    newer one of its name replaces the one that waits. A job that takes long calls `step_aside`
    between its steps, so that whoever ranks higher need not wait for its end.

    Three rules say who runs next:
    1. Ranks in their order; within a rank, requests as they came, then the offer that has waited
       longest.
    2. After `PROMPTS_IN_A_ROW` prompts while others waited, one of the others: FOLLOW and GOAL by
       turns. So a flood of prompts stops neither.
    3. A job offered as FOLLOW rests for as long as it took: until then the next one of its name
       ranks as OFFER. So following every cloud leaves goals half of the time.

    Args:
        on_error: called in the worker's thread with what an offered job or a `then` raised.
    """

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._changed = threading.Condition()
        self._requests: dict[Rank, deque[_Request]] = {Rank.PROMPT: deque(), Rank.GOAL: deque()}
        self._offers: dict[str, _Offer] = {}
        self._prompts_in_a_row = 0  # that have run while others waited
        self._others = [Rank.FOLLOW, Rank.GOAL]  # that take turns; the last to begin is last
        self._running: list[tuple[Rank, Future | None]] = []  # the last runs, the others wait in it
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
            job: what answers it.
            then: called with the answer in the worker's thread once the future has it.
            max_pending: most requests of its rank that may wait; None: any number.
            rank: PROMPT, or GOAL for one that takes long.

        Raises:
            OverloadedError: `max_pending` requests wait already.
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
        """Leaves a job for when no request of a higher rank waits.

        Args:
            name: whose job it is; each name has one that waits.
            job: replaces the offered job of this name that has not begun.
            min_interval_s: time from the beginning of the previous job of this name to this
                one's [s].
            rank: OFFER, or FOLLOW for one that goals are to step aside for, half of the time.

        Returns:
            Whether a job was replaced, and so will never run.
        """
        with self._changed:
            slot = self._offers.setdefault(name, _Offer())
            replaced = slot.job is not None
            if self._stopped is None:
                slot.job, slot.interval_s, slot.rank = job, min_interval_s, rank
                self._changed.notify()
        return replaced

    def waiting(self, rank: Rank) -> int:
        """How many requests of a rank wait for their turn."""
        with self._changed:
            return sum(not request.answer.cancelled() for request in self._requests[rank])

    def step_aside(self) -> bool:
        """Called by a running job: lets all jobs run that wait and rank higher than it.

        Those that come meanwhile wait for the next call: else a flood would hold the job up.

        Returns:
            Whether the job is to end: it was cancelled, or the worker stops.
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
        """Whether the thread ends or has ended."""
        return self._stopped is not None

    def stop(self, reason: Callable[[], Exception]) -> None:
        """Ends the thread after the job that runs now; whoever waits is told at once.

        Args:
            reason: makes an exception for each of them: what one has been raised through holds on
                to it.
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

    def _locked_next(self, below: Rank) -> Callable[[], None] | None:
        with self._changed:
            return self._next_job(below)

    def _next_job(self, below: Rank | None = None) -> Callable[[], None] | None:
        """The job whose turn it is, already counted as running; only of ranks before `below`."""
        if self._stopped is not None:
            return None
        for rank in self._in_turn(below):
            if (job := self._next_request(rank) or self._next_offer(rank)) is not None:
                return job
        return None

    def _in_turn(self, below: Rank | None) -> list[Rank]:
        """Ranks in the order that counts now.

        Args:
            below: only ranks before it, that of the job that steps aside; None: nothing runs.
        """
        order = list(Rank)
        if self._prompts_in_a_row >= PROMPTS_IN_A_ROW:
            order = [*self._others, Rank.PROMPT, Rank.OFFER]
        return [rank for rank in order if below is None or rank < below]

    def _count(self, of_rank: Callable[[Rank], bool]) -> int:
        """How many jobs of some ranks wait and may begin."""
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
        """Of the jobs that are due the one whose name has waited longest."""
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
    """Gives a future its end; False where it has one: others may come to it before the job."""
    try:
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)
    except InvalidStateError:
        return False
    return True
