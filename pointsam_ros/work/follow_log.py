"""Log lines on objects that begin to be followed."""

from __future__ import annotations

from collections.abc import Callable

from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.answers import Answer


def telling_followed(
    job: Callable[[], Answer], tally: Tally, log: Callable[[str], None]
) -> Callable[[], Answer]:
    """`job`; the log then tells which objects of its answer are followed, where one is new.

    Args:
        job: for the worker's thread, in which alone objects begin to be followed.
        tally: counts those that begin.
        log: takes a line.
    """

    def told() -> Answer:
        before = tally.objects_that("followed")
        answer = job()
        if tally.objects_that("followed") > before:
            best = {
                found.object_id: found.id for found in reversed(answer.found)
            }  # they come best first
            named = [f"id {best[object_id]} (object {object_id})" for object_id in sorted(best)]
            log(f"followed: {', '.join(named)}")
        return answer

    return told
