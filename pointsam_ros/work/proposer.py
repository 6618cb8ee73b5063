"""Answers goals: chooses the cloud and proposes all objects in it.

All except `prepare` runs in the worker's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pointsam_interfaces.action import ProposeInstances
from pointsam_model import Embedding, Predictor, ProposalGenerator
from pointsam_model.config.building import configured
from pointsam_model.config.settings import ProposalConfig
from pointsam_model.errors import CancelledError, CloudError, ConfigError, OutOfMemory
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud, stamp_ns
from pointsam_ros.codes import Code
from pointsam_ros.config import NodeConfig
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.refusal import Refusal
from pointsam_ros.requests import clicks as requests
from pointsam_ros.work.tracks import Tracks


@dataclass(frozen=True)
class Goal:
    """A checked goal.

    Attributes:
        cloud: the cloud it specifies; None: the newest when its turn comes.
        config: how proposals are made.
        min_score: instances with a lower score are left out.
        max_instances: most instances, those with the highest scores; None: all.
    """

    cloud: StoredCloud | None
    config: ProposalConfig
    min_score: float = 0.0
    max_instances: int | None = None


class Proposer:
    """Proposes the objects of whole clouds.

    Args:
        predictor: embeds clouds and answers clicks with the node's settings.
        embedding_of: returns a cloud's embedding, made if necessary.
        store: the retained clouds.
        config: returns the current settings.
        now_ns: returns the node's time [ns].
        tally: records the time taken, including prompts answered in between.
        tracks: assigns ids to instances.
    """

    def __init__(
        self,
        predictor: Predictor,
        embedding_of: Callable[[StoredCloud], Embedding],
        store: CloudStore,
        config: Callable[[], NodeConfig],
        now_ns: Callable[[], int],
        tally: Tally,
        tracks: Tracks,
    ) -> None:
        self._predictor = predictor
        self._embedding_of = embedding_of
        self._store = store
        self._config = config
        self._now_ns = now_ns
        self._tally = tally
        self._tracks = tracks
        self._last: StoredCloud | None = None  # the last cloud of `propose_newest`

    def prepare(self, goal: ProposeInstances.Goal) -> Goal:
        """Checks a goal and fetches its cloud before that is dropped or too old.

        Raises:
            Refusal: BAD_REQUEST, NO_CLOUD.
            CloudError: the attached cloud is malformed.
        """
        config = self._config()
        usual = config.proposals
        min_score = float(goal.min_score) or usual.min_score
        most = int(goal.max_instances) or usual.max_instances
        try:
            configured(usual, {"min_score": min_score, "max_instances": most})
        except ConfigError as error:
            raise Refusal(Code.BAD_REQUEST, str(error)) from error
        # Objects that only this goal leaves out are still found, so that they keep their ids, and
        # the best of all are returned.
        proposals = replace(
            usual,
            min_score=min(min_score, usual.min_score),
            max_instances=max(most, usual.max_instances),
        )
        attached, stamp = requests.attached(goal.cloud), stamp_ns(goal.header.stamp)
        cloud = None
        if attached is not None:
            cloud = StoredCloud.from_msg(attached, self._now_ns(), config.limits, attached=True)
        elif stamp:
            cloud = self._store.at(stamp, config.clouds.stamp_tolerance_s)
        return Goal(cloud, proposals, float(goal.min_score), most)

    def propose(
        self,
        goal: Goal,
        progress: Callable[[int, int], None] | None,
        step_aside: Callable[[], bool],
    ) -> Answer:
        """Proposes the objects of a cloud.

        Args:
            goal: which cloud, and how.
            progress: called after each batch with the number of clicks decoded and their total.
            step_aside: called between steps to let others use the model; returning True stops.

        Raises:
            Refusal, PointSamError: see `refusal_of`.
            CancelledError: `step_aside` returned True.
        """
        cloud = goal.cloud or self._store.fresh(self._now_ns(), self._config().clouds.stale_s)
        embedding = self._embedding_of(cloud)
        started = time.perf_counter()
        generator = ProposalGenerator(self._predictor.model, goal.config, self._predictor)
        instances = generator.generate(embedding, progress, step_aside)
        found = self._tracks.proposed(cloud, instances)
        good = [seen for seen in found if seen.instance.score >= goal.min_score]
        good = good[: goal.max_instances]
        for seen in good:
            _ = seen.instance.box  # takes milliseconds: computed here, not in the executor's thread
            if step_aside():
                raise CancelledError("the proposals were cancelled")
        self._tally.took("propose", time.perf_counter() - started)
        return Answer(cloud, good, [])

    def propose_newest(self, step_aside: Callable[[], bool]) -> Answer | None:
        """Proposes the objects of the newest cloud, including followed objects seen in it.

        None: that cloud was done before, or there is no usable one.
        """
        cloud = self._store.newest()
        if cloud is None or cloud is self._last:
            return None
        self._last = cloud
        try:
            answer = self.propose(Goal(cloud, self._config().proposals), None, step_aside)
            return replace(answer, found=self._tracks.with_followed(cloud, answer.found))
        except (CancelledError, CloudError):  # a bad cloud was already reported
            return None
        except OutOfMemory as error:
            self._tally.failure(str(error))
            return None
