"""`worker`: requests first and in order, then the newest offer; nobody waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from pointsam_ros.work.worker import OverloadedError, Rank, Worker

WAIT_S = 5.0


class Busy:
    """A job that runs until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.go.wait(WAIT_S)
        return "busy"


@pytest.fixture
def errors() -> list[BaseException]:
    return []


@pytest.fixture
def worker(errors: list[BaseException]) -> Iterator[Worker]:
    made = Worker(errors.append)
    yield made
    made.stop(lambda: RuntimeError("the test is over"))
    assert made.join(WAIT_S)


@pytest.fixture
def busy(worker: Worker) -> Iterator[Busy]:
    """The worker is in the middle of a request."""
    job = Busy()
    worker.ask(job)
    assert job.begun.wait(WAIT_S)
    yield job
    job.go.set()


def test_a_request_gets_its_answer_and_its_error(worker: Worker) -> None:
    assert worker.ask(lambda: 7).result(WAIT_S) == 7

    def fails() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        worker.ask(fails).result(WAIT_S)
    assert worker.ask(lambda: 8).result(WAIT_S) == 8, "the worker lives on"


def test_requests_come_before_an_offer_and_in_their_order(worker: Worker, busy: Busy) -> None:
    order: list[str] = []
    done = threading.Event()
    worker.offer("embed", lambda: (order.append("offer"), done.set())[0])
    for name in ("first", "second"):
        worker.ask(lambda name=name: order.append(name))
    busy.go.set()
    assert done.wait(WAIT_S)
    assert order == ["first", "second", "offer"]


def test_a_newer_offer_replaces_the_one_that_waits(worker: Worker, busy: Busy) -> None:
    seen: list[int] = []
    done = threading.Event()
    assert not worker.offer("embed", lambda: seen.append(1))
    assert worker.offer("embed", lambda: seen.append(2))
    assert worker.offer("embed", lambda: (seen.append(3), done.set())[0])
    busy.go.set()
    assert done.wait(WAIT_S)
    assert seen == [3]


def test_offers_begin_no_faster_than_their_interval(worker: Worker) -> None:
    begun: list[float] = []
    three = threading.Event()

    def offered() -> None:
        begun.append(time.monotonic())
        if len(begun) == 3:
            three.set()

    deadline = time.monotonic() + WAIT_S
    while not three.is_set() and time.monotonic() < deadline:
        worker.offer("embed", offered, min_interval_s=0.1)
        time.sleep(0.005)
    assert three.is_set()
    assert min(later - sooner for sooner, later in pairwise(begun)) >= 0.099


def test_a_request_does_not_wait_for_an_offer_that_is_not_due(worker: Worker) -> None:
    ran = threading.Event()
    worker.offer("embed", ran.set)
    assert ran.wait(WAIT_S)
    worker.offer("embed", lambda: None, min_interval_s=60.0)
    started = time.monotonic()
    assert worker.ask(lambda: "now").result(WAIT_S) == "now"
    assert time.monotonic() - started < 2.0


def test_more_requests_than_may_wait_are_refused(worker: Worker, busy: Busy) -> None:
    waiting = [worker.ask(lambda: 1, max_pending=2) for _ in range(2)]
    with pytest.raises(OverloadedError, match="2 requests wait already"):
        worker.ask(lambda: 1, max_pending=2)
    busy.go.set()
    assert [answer.result(WAIT_S) for answer in waiting] == [1, 1]


def test_what_follows_an_answer_runs_after_the_answer_is_out(worker: Worker) -> None:
    release, followed = threading.Event(), threading.Event()

    def then(answer: int) -> None:
        assert answer == 5 and release.wait(WAIT_S)
        followed.set()

    assert worker.ask(lambda: 5, then=then).result(WAIT_S) == 5
    assert not followed.is_set()
    release.set()
    assert followed.wait(WAIT_S)


def test_errors_outside_of_requests_are_reported_and_survived(
    worker: Worker, errors: list[BaseException]
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("unforeseen")

    worker.offer("embed", fails)
    deadline = time.monotonic() + WAIT_S
    while not errors and time.monotonic() < deadline:
        time.sleep(0.005)
    assert worker.ask(lambda: 1, then=fails).result(WAIT_S) == 1
    assert worker.ask(lambda: 2).result(WAIT_S) == 2
    assert [str(error) for error in errors] == ["unforeseen", "unforeseen"]


def test_stopping_answers_everyone_at_once_even_in_the_middle_of_a_job(
    worker: Worker, busy: Busy
) -> None:
    followed = threading.Event()
    waiting = worker.ask(lambda: 1, then=lambda _: followed.set())
    worker.offer("embed", followed.set)
    worker.stop(lambda: RuntimeError("shutting down"))
    with pytest.raises(RuntimeError, match="shutting down"):
        waiting.result(0)
    assert not worker.join(0.05), "the job still runs"
    with pytest.raises(RuntimeError, match="shutting down"):
        worker.ask(lambda: 1).result(0)
    busy.go.set()
    assert worker.join(WAIT_S)
    assert not followed.is_set()


def test_what_follows_an_interrupted_request_does_not_run(worker: Worker) -> None:
    job, followed = Busy(), threading.Event()
    answer = worker.ask(job, then=lambda _: followed.set())
    assert job.begun.wait(WAIT_S)
    worker.stop(lambda: RuntimeError("deactivated"))
    job.go.set()
    assert worker.join(WAIT_S)
    with pytest.raises(RuntimeError, match="deactivated"):
        answer.result(0)
    assert not followed.is_set()


# Long jobs step aside.


class Steps:
    """A long job: each step waits until it is let go, then steps aside."""

    def __init__(self, worker: Worker, order: list[str], name: str = "step") -> None:
        self._worker, self._order, self._name = worker, order, name
        self.begun = threading.Event()
        self.go = threading.Semaphore(0)
        self.ended = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        for _ in range(3):
            assert self.go.acquire(timeout=WAIT_S)
            self._order.append(self._name)
            if self._worker.step_aside():
                break
        self.ended.set()
        return self._name


def test_a_goal_steps_aside_for_prompts_between_its_steps(worker: Worker) -> None:
    order: list[str] = []
    steps = Steps(worker, order)
    goal = worker.ask(steps, rank=Rank.GOAL)
    assert steps.begun.wait(WAIT_S)
    prompts = [worker.ask(lambda: order.append("prompt")) for _ in range(2)]
    worker.ask(lambda: order.append("next goal"), rank=Rank.GOAL)
    steps.go.release()
    for prompt in prompts:
        prompt.result(WAIT_S)
    steps.go.release(2)
    assert goal.result(WAIT_S) == "step"
    worker.ask(lambda: None, rank=Rank.GOAL).result(WAIT_S)
    assert order == ["step", "prompt", "prompt", "step", "step", "next goal"]


def test_an_offered_job_steps_aside_for_goals_and_those_for_prompts(worker: Worker) -> None:
    order: list[str] = []
    offered, goal = Steps(worker, order, "offered"), Steps(worker, order, "goal")
    worker.offer("propose", lambda: (offered(), None)[1])
    assert offered.begun.wait(WAIT_S)
    asked = worker.ask(goal, rank=Rank.GOAL)
    offered.go.release()
    assert goal.begun.wait(WAIT_S)
    prompt = worker.ask(lambda: order.append("prompt"))
    goal.go.release()
    prompt.result(WAIT_S)
    goal.go.release(2)
    asked.result(WAIT_S)
    offered.go.release(2)
    assert offered.ended.wait(WAIT_S)
    assert order == ["offered", "goal", "prompt", "goal", "goal", "offered", "offered"]


def test_a_goal_begins_and_ends_however_many_prompts_come(worker: Worker) -> None:
    """Prompts that ask again as soon as they have run, as a flood of clients does."""
    stop = threading.Event()

    def prompt() -> None:
        if not stop.is_set():
            worker.ask(prompt)

    def goal() -> str:
        for _ in range(3):
            worker.step_aside()
        return "goal"

    for _ in range(4):
        worker.ask(prompt)
    try:
        assert worker.ask(goal, rank=Rank.GOAL).result(WAIT_S) == "goal"
    finally:
        stop.set()


def test_a_goal_begins_beside_a_flood_of_prompts_and_who_is_always_to_be_followed(
    worker: Worker,
) -> None:
    stop = threading.Event()
    looks = 0

    def prompt() -> None:
        time.sleep(0.002)
        if not stop.is_set():
            worker.ask(prompt)

    def look() -> None:
        nonlocal looks
        looks += 1
        time.sleep(0.001)
        if not stop.is_set():
            worker.offer("embed", look, rank=Rank.FOLLOW)

    for _ in range(4):
        worker.ask(prompt)
    worker.offer("embed", look, rank=Rank.FOLLOW)
    try:
        for _ in range(3):
            worker.ask(worker.step_aside, rank=Rank.GOAL).result(WAIT_S)
        assert looks > 1
    finally:
        stop.set()


def test_a_cancelled_goal_ends_with_its_step_and_one_that_waits_never_begins(
    worker: Worker,
) -> None:
    order: list[str] = []
    steps = Steps(worker, order)
    running = worker.ask(steps, then=lambda _: order.append("then"), rank=Rank.GOAL)
    assert steps.begun.wait(WAIT_S)
    waiting = worker.ask(lambda: order.append("waiting"), rank=Rank.GOAL, max_pending=1)
    assert (worker.waiting(Rank.GOAL), worker.waiting(Rank.PROMPT)) == (1, 0)
    assert waiting.cancel() and running.cancel()
    assert worker.waiting(Rank.GOAL) == 0
    after = worker.ask(lambda: "after", rank=Rank.GOAL, max_pending=1)  # its place is free again
    steps.go.release()
    assert after.result(WAIT_S) == "after"
    assert order == ["step"]


def test_stopping_ends_a_long_job_with_its_step(worker: Worker) -> None:
    order: list[str] = []
    steps = Steps(worker, order)
    goal = worker.ask(steps, rank=Rank.GOAL)
    assert steps.begun.wait(WAIT_S)
    worker.stop(lambda: RuntimeError("deactivated"))
    with pytest.raises(RuntimeError, match="deactivated"):
        goal.result(0)
    steps.go.release()
    assert worker.join(WAIT_S)
    assert order == ["step"]


def test_offers_of_two_names_take_turns(worker: Worker, busy: Busy) -> None:
    order: list[str] = []
    both = threading.Event()
    for name in ("embed", "propose"):
        assert not worker.offer(name, lambda name=name: order.append(name))
    assert worker.offer("propose", lambda: (order.append("newer"), both.set())[0])
    busy.go.set()
    assert both.wait(WAIT_S)
    assert order == ["embed", "newer"]


def test_goals_step_aside_for_who_follows_and_that_for_prompts(worker: Worker) -> None:
    order: list[str] = []
    goal, follow = Steps(worker, order, "goal"), Steps(worker, order, "follow")
    asked = worker.ask(goal, rank=Rank.GOAL)
    assert goal.begun.wait(WAIT_S)
    worker.offer("embed", lambda: (follow(), None)[1], rank=Rank.FOLLOW)
    worker.offer("propose", lambda: order.append("propose"))
    goal.go.release()
    assert follow.begun.wait(WAIT_S)
    prompt = worker.ask(lambda: order.append("prompt"))
    follow.go.release()
    prompt.result(WAIT_S)
    follow.go.release(2)
    assert follow.ended.wait(WAIT_S)
    goal.go.release(2)
    asked.result(WAIT_S)
    assert order[:7] == ["goal", "follow", "prompt", "follow", "follow", "goal", "goal"]


@pytest.mark.parametrize("rank", [Rank.GOAL, Rank.OFFER])
def test_who_is_always_to_be_followed_leaves_others_as_much_time_as_it_takes(
    worker: Worker, rank: Rank
) -> None:
    """A look at a cloud takes so long that the next cloud is there as soon as it ends."""
    steps, step_s, look_s = 12, 0.01, 0.05
    looks: list[float] = []
    ended, stop = threading.Event(), threading.Event()

    def look() -> None:
        if not stop.is_set():
            looks.append(time.monotonic())
            worker.offer("embed", look, rank=Rank.FOLLOW)
            time.sleep(look_s)

    def long_job() -> None:
        for _ in range(steps):
            time.sleep(step_s)
            worker.step_aside()
        ended.set()

    worker.offer("embed", look, rank=Rank.FOLLOW)
    while not looks:
        time.sleep(0.001)
    begun = time.monotonic()
    if rank == Rank.GOAL:
        worker.ask(long_job, rank=rank)
    else:
        worker.offer("propose", long_job, rank=rank)
    try:
        assert ended.wait(WAIT_S)
        during = sum(each >= begun for each in looks)
        assert 1 <= during <= steps / 2, "not at each step, yet following goes on"
    finally:
        stop.set()


def test_who_follows_need_not_wait_while_nobody_else_does(worker: Worker) -> None:
    looks = 0
    many = threading.Event()

    def look() -> None:
        nonlocal looks
        looks += 1
        time.sleep(0.01)
        if looks < 5:
            worker.offer("embed", look, rank=Rank.FOLLOW)
        else:
            many.set()

    worker.offer("propose", lambda: None)
    worker.offer("propose", lambda: None, min_interval_s=60.0)
    worker.offer("embed", look, rank=Rank.FOLLOW)
    assert many.wait(WAIT_S)
