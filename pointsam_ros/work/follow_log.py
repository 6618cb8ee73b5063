"""Logs which objects begin to be followed."""

from __future__ import annotations

from collections.abc import Callable

from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.answers import Answer


def telling_followed(
    job: Callable[[], Answer], tally: Tally, log: Callable[[str], None]
) -> Callable[[], Answer]:
    """Wraps `job` to log the followed objects in its answer, if any of them is new.

    Args:
        job: runs in the worker's thread, the only one in which objects begin to be followed.
        tally: counts the objects that begin to be followed.
        log: writes a line.
    """

    def told() -> Answer:
        before = tally.objects_that("followed")
        answer = job()
        if tally.objects_that("followed") > before:
            best = {
                found.object_id: found.id for found in reversed(answer.found)
            }  # the best mask of each, as they are sorted
            named = [f"id {best[object_id]} (object {object_id})" for object_id in sorted(best)]
            log(f"followed: {', '.join(named)}")
        return answer

    return told
