"""Answers requests: chooses the cloud, transforms the prompts, segments, and keeps sessions.

All except `prepare` runs in the worker's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Cloud, Embedding, Predictor, Prompt, wait_for_device
from pointsam_model.errors import CloudError, OutOfMemory
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud, seconds
from pointsam_ros.clouds.embedded import EmbeddedClouds
from pointsam_ros.codes import Code
from pointsam_ros.config import NodeConfig
from pointsam_ros.health.rarely import Rarely
from pointsam_ros.health.tally import Stopwatch, Tally
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.refusal import Refusal
from pointsam_ros.requests import clicks as requests
from pointsam_ros.requests.clicks import Clicks
from pointsam_ros.requests.sessions import MOST_UNDONE, NO_CLICKS, ObjectClicks, Session, Sessions
from pointsam_ros.requests.transforms import Lookup, into
from pointsam_ros.work.tracks import Tracks
from pointsam_ros.work.viewpoints import Viewpoints

Result = TypeVar("Result")


@dataclass(eq=False)
class PromptJob:
    """A checked request.

    Attributes:
        clicks: its checked content.
        cloud: the cloud to segment; None: chosen when its turn comes, and then kept, so that a
            second attempt, after a missing transform, uses the same.
    """

    clicks: Clicks
    cloud: StoredCloud | None


class Segmenter:
    """Answers requests and clicks, independently of ROS communication.

    Args:
        predictor: embeds and segments.
        store: the retained clouds.
        config: returns the current settings.
        now_ns: returns the node's time [ns].
        lookup: finds transforms between coordinate frames.
        tally: counts the sensor's clouds and their outcomes.
        log: logs timings.
        warn: logs a warning.
        tracks: assigns ids to instances, and follows objects.
    """

    def __init__(
        self,
        predictor: Predictor,
        store: CloudStore,
        config: Callable[[], NodeConfig],
        now_ns: Callable[[], int],
        lookup: Lookup,
        tally: Tally,
        log: Callable[[str], None],
        warn: Callable[[str], None],
        tracks: Tracks,
    ) -> None:
        self._predictor = predictor
        self._store = store
        self._config = config
        self._now_ns = now_ns
        self._lookup = lookup
        self._tally = tally
        self._log = log
        self._tracks = tracks
        self._viewpoints = Viewpoints(config, lookup, tally, warn)
        self._warn_of_doubt = Rarely(warn)
        self._embedded = EmbeddedClouds()
        self._sessions = Sessions()
        self._clicked: Session | None = None
        self._clicked_jumps = store.jumps
        self._looked_at: StoredCloud | None = None  # the last cloud of `follow_newest`

    def prepare(self, request: SegmentPrompts.Request) -> PromptJob:
        """Checks a request and fetches its cloud before that is dropped or too old.

        Raises:
            Refusal: BAD_REQUEST, NO_CLOUD.
            CloudError: the attached cloud is malformed.
        """
        config = self._config()
        clicks = requests.parse(request, config.limits)
        if clicks.follow and not config.tracking.enabled:
            raise Refusal(
                Code.BAD_REQUEST,
                "follow needs tracking: set the parameter tracking.enabled to true, or ask without",
            )
        if clicks.cloud is not None:
            cloud = StoredCloud.from_msg(clicks.cloud, self._now_ns(), config.limits, attached=True)
            return PromptJob(clicks, cloud)
        if clicks.stamp_ns and not clicks.session:
            return PromptJob(clicks, self._stored(clicks))
        return PromptJob(clicks, None)

    def answer(self, job: PromptJob) -> Answer:
        """Segments the objects of a request.

        Raises:
            Refusal, PointSamError: see `refusal_of`.
        """
        clicks = job.clicks
        session = self._session_of(clicks)
        if session is None:
            job.cloud = self._cloud_of(job)
            session = Session(job.cloud)
        answer, session = self.continued(session, clicks)
        if clicks.session:
            self._sessions.put(clicks.session, session, self._config().sessions.max)
        return answer

    def newest(self) -> StoredCloud:
        """The newest cloud, however old: the one that a user sees and clicks on.

        Raises:
            Refusal: NO_CLOUD; none has arrived.
        """
        return self._store.fresh(self._now_ns(), stale_s=0.0)

    def click(self, clicks: Clicks, newest: StoredCloud) -> Answer:
        """Adds clicks to those since `reset_clicks`.

        The first click is on `newest`; later ones stay on that cloud, which is retained for them,
        until the clouds' time jumps back, which means another scene. With tracking the object is
        followed, and later clicks are on the cloud in which it was last seen.

        Raises:
            Refusal, PointSamError: see `refusal_of`; these clicks are then ignored.
        """
        if self._clicked_jumps != self._store.jumps:
            self._clicked, self._clicked_jumps = None, self._store.jumps
        session = (self._clicked and self._last_seen(self._clicked)) or Session(newest)
        clicks = replace(clicks, follow=self._tracks.enabled)
        answer, self._clicked = self.continued(session, clicks, clicked=True)
        return answer

    def reset_clicks(self) -> Answer | None:
        """Drops all clicks.

        Returns:
            What remains to be shown on their cloud, the objects followed by requests; None: there
            were no clicks.
        """
        clicked, self._clicked = self._clicked, None  # first, even if the rest fails
        if clicked is None:
            return None
        cloud = (self._last_seen(clicked) or clicked).cloud
        self._tracks.release_clicked()
        return Answer(cloud, self._tracks.with_followed(cloud, []), [])

    def undo_click(self) -> Answer:
        """Undoes the last click since `reset_clicks`.

        Raises:
            Refusal: BAD_REQUEST; there is none, or the object is followed and its mask has changed
                since.
        """
        if self._clicked is None:
            raise Refusal(Code.BAD_REQUEST, "there is no click to take back")
        followed = self._tracks.enabled and self._last_seen(self._clicked) is not self._clicked
        self._clicked = _undone(self._clicked, followed)
        return _answer_of(self._clicked)

    def undo(self, name: str) -> Answer:
        """Undoes the last request of a session; returns the answer that is valid again.

        Raises:
            Refusal: SESSION_LOST; there is no such session. BAD_REQUEST; nothing can be undone.
        """
        session = self._sessions.get(name)
        if session is None:
            raise _no_session(name)
        followed = any(self._tracks.is_followed(said.id) for said in session.objects.values())
        session = _undone(session, followed)
        self._sessions.put(name, session, self._config().sessions.max)
        return _answer_of(session)

    def end(self, name: str) -> None:
        """Ends a session.

        Raises:
            Refusal: SESSION_LOST; there is no such session.
        """
        if self._sessions.get(name) is None:
            raise _no_session(name)
        self._sessions.forget(name)

    def follow_newest(self, step_aside: Callable[[], bool]) -> Answer | None:
        """Searches for the followed objects in the newest cloud.

        Without `tracking.enabled` all of them are lost.

        Returns:
            The objects seen, empty if the last one was lost; None: undecidable, or done before.
        """
        if not self._tracks.enabled:
            last = self._tracks.lose_all("tracking.enabled is false")
            return None if last is None else Answer(last, [], [])
        cloud = self._store.newest()
        if cloud is None:
            return None
        if self._tracks.nothing_left():
            return Answer(cloud, [], [])
        if cloud is self._looked_at:
            return None
        self._looked_at = cloud
        embedding = self._embedding_if_possible(cloud)
        if embedding is None or step_aside():
            return None
        try:
            found = self._with_looks(cloud, lambda: self._tracks.look(cloud, embedding, step_aside))
        except OutOfMemory as error:
            self._tally.failure(str(error))
            return None
        return None if found is None else Answer(cloud, found, [])

    def continued(
        self, session: Session, clicks: Clicks, clicked: bool = False
    ) -> tuple[Answer, Session]:
        """Segments the objects of clicks on a session's cloud.

        Args:
            session: the cloud and the earlier prompts.
            clicks: the new prompts.
            clicked: whether they are clicks in RViz, not from a request.

        Returns:
            The answer, and the session with these clicks and their masks.

        Raises:
            Refusal, PointSamError: see `refusal_of`; the session is unchanged.
        """
        session, clicks = self._in_frame_of(session, clicks)
        embedding = self.embedding_of(session.cloud)
        objects = self._objects(clicks, embedding.snap(clicks.points), session.objects)
        started = time.perf_counter()
        prompts = [
            Prompt(said.points, said.labels, said.mask, box=said.box, name=f"object {object_id}")
            for object_id, said in objects.items()
        ]
        predictions = self._with_looks(
            session.cloud, lambda: self._predictor.segment(embedding, prompts)
        )
        elapsed = time.perf_counter() - started
        self._took("segment", f"segmented {len(objects)} objects", elapsed)
        masks = dict(zip(objects, predictions, strict=True))
        told = {
            object_id: replace(said, mask=masks[object_id].prompt())
            for object_id, said in objects.items()
        }
        session = session.after(told)
        found = self._tracks.prompted(session, masks, clicks.multimask, clicks.follow, clicked)
        ids = {each.object_id: each.id for each in reversed(found)}  # of each object's best mask
        empty = [object_id for object_id in masks if object_id not in ids]
        answer = Answer(session.cloud, found, empty)
        session = session.with_ids(ids) if self._tracks.enabled else session
        return answer, replace(session, answer=answer)

    def embed_newest(self) -> None:
        """Embeds the newest cloud, so that a request finds it ready."""
        cloud = self._store.newest()
        if cloud is not None:
            self._embedding_if_possible(cloud)

    def embedding_of(self, cloud: StoredCloud) -> Embedding:
        """The cloud's embedding, made if necessary.

        Raises:
            CloudError: it has too few usable points; the store then drops it.
            OutOfMemory: not enough memory on the device, even without any other embedding.
        """
        if cloud.embedding is None:
            try:
                cloud.embedding = self._embed(cloud)
            except CloudError as error:
                if not cloud.attached:
                    self._store.discard(cloud, str(error))
                    self._tally.refused(str(error))
                raise
        self._use(cloud)
        return cloud.embedding

    def _use(self, cloud: StoredCloud) -> None:
        self._embedded.use(cloud, self._config().embed.max_memory_mib * 2**20)

    def _with_looks(self, cloud: StoredCloud, work: Callable[[], Result]) -> Result:
        """Runs work on an embedded cloud that may embed looks, and counts their memory.

        If memory runs out, the embeddings of other clouds are dropped first.

        Raises:
            OutOfMemory: not enough memory even without them.
        """
        try:
            result = work()
        except OutOfMemory:
            if not self._embedded.drop_others(cloud):
                raise
            result = work()
        self._use(cloud)
        return result

    def _embed(self, cloud: StoredCloud) -> Embedding:
        watch = Stopwatch(self._tally, lambda: wait_for_device(self._predictor.model.device))
        try:
            source = self._viewpoints.viewed(cloud, cloud.read(self._predictor.device))
            watch.reached("decode")
            embedding = self._predictor.embed(source, watch.reached)
        except OutOfMemory:
            if not self._embedded.drop_all():
                raise
            return self._embed(cloud)
        if not cloud.attached:
            self._tally.cloud("embedded")
        self._viewpoints.tell(cloud, source)
        self._tell_doubt(cloud, source)
        self._took("embed", f"embedded {cloud.size} points", watch.total())
        return embedding

    def _tell_doubt(self, cloud: StoredCloud, source: Cloud) -> None:
        """Warns of a cloud that is probably not in metres; it is answered nevertheless."""
        if not cloud.attached:
            self._tally.doubtful(source.doubt)
        if source.doubt:
            self._warn_of_doubt(f"in the frame {cloud.frame_id!r}: {source.doubt}")

    def _embedding_if_possible(self, cloud: StoredCloud) -> Embedding | None:
        try:
            return self.embedding_of(cloud)
        except CloudError as error:
            self._log(f"the newest cloud is unusable: {error}")
        except OutOfMemory as error:
            self._tally.failure(str(error))
        return None

    def _last_seen(self, clicked: Session) -> Session | None:
        """The clicked object as last seen; None: it was lost, or is no longer followed."""
        # One: clicks are on one object.
        ids = [said.id for said in clicked.objects.values() if said.id]
        if not ids or not self._tracks.enabled:
            return clicked
        return self._tracks.session_of(ids[0])

    def _took(self, stage: str, done: str, seconds: float) -> None:
        self._tally.took(stage, seconds)
        self._log(f"{done} in {seconds * 1e3:.1f} ms")

    def _session_of(self, clicks: Clicks) -> Session | None:
        """The session that the request continues; None: it starts one, or names none."""
        name = clicks.session
        session = self._sessions.get(name) if name else None
        if session is None:
            return None
        if clicks.cloud is not None:
            raise Refusal(
                Code.SESSION_LOST,
                f"session {name!r} stays on its cloud of stamp {seconds(session.cloud.stamp_ns)}; "
                "a request with a cloud attached needs another session name",
            )
        tolerance_ns = self._config().clouds.stamp_tolerance_s * 1e9
        if clicks.stamp_ns and abs(clicks.stamp_ns - session.cloud.stamp_ns) > tolerance_ns:
            raise Refusal(
                Code.SESSION_LOST,
                f"session {name!r} is on the cloud of stamp {seconds(session.cloud.stamp_ns)}, the "
                f"request is about {seconds(clicks.stamp_ns)}; send that stamp or zero, or use "
                "another session name",
            )
        newest = self._store.newest()
        newest_ns = newest.stamp_ns if newest else 0
        if not session.cloud.attached and session.cloud.stamp_ns > newest_ns > 0:
            self._sessions.forget(name)
            raise Refusal(
                Code.SESSION_LOST,
                f"the clouds' time has jumped back behind the cloud of session {name!r}, stamp "
                f"{seconds(session.cloud.stamp_ns)}; send all clicks again to restart it",
            )
        return session

    def _cloud_of(self, job: PromptJob) -> StoredCloud:
        if job.cloud is not None:
            return job.cloud
        if job.clicks.stamp_ns:
            return self._stored(job.clicks)
        if job.clicks.follow:  # on an older one it would be behind from the beginning
            return self._store.fresh(self._now_ns(), self._config().clouds.stale_s)
        return self._store.current(self._now_ns(), self._config().clouds)

    def _stored(self, clicks: Clicks) -> StoredCloud:
        return self._store.at(clicks.stamp_ns, self._config().clouds.stamp_tolerance_s)

    def _in_frame_of(self, session: Session, clicks: Clicks) -> tuple[Session, Clicks]:
        """Transforms clicks and boxes to the cloud's coordinate frame, at the cloud's time.

        Returns the session with the transform as well. With an attached cloud, the request may give
        clicks and boxes a time of their own.
        """
        cloud, frame = session.cloud, clicks.frame_id
        at_ns = clicks.stamp_ns if clicks.cloud is not None and clicks.stamp_ns else cloud.stamp_ns
        way = session.transforms.get(frame) if at_ns == cloud.stamp_ns else None
        way = way or into(frame, cloud.frame_id, at_ns, self._lookup)
        if way is None:
            return session, clicks
        if at_ns == cloud.stamp_ns:
            session = replace(session, transforms={**session.transforms, frame: way})
        boxes = {object_id: way.of_box(box) for object_id, box in clicks.boxes.items()}
        return session, replace(clicks, points=way(clicks.points), boxes=boxes)

    def _objects(
        self, clicks: Clicks, points: np.ndarray, known: Mapping[int, ObjectClicks]
    ) -> dict[int, ObjectClicks]:
        """The objects in the request, with all their prompts so far."""
        objects = {}
        most = self._config().limits.max_prompts
        for object_id in sorted({*clicks.object_ids.tolist(), *clicks.boxes}):
            mine = clicks.object_ids == object_id
            clicked = known.get(object_id, NO_CLICKS).with_clicks(points[mine], clicks.labels[mine])
            if object_id in clicks.boxes:
                clicked = clicked.with_box(clicks.boxes[object_id])
            if not clicked.labels.any() and clicked.box is None:
                raise Refusal(
                    Code.BAD_REQUEST,
                    f"object {object_id} has no click on it; give it one with label 1, or a box"
                    + _without_earlier_clicks(clicks.session, known),
                )
            if len(clicked.labels) > most:
                raise Refusal(
                    Code.BAD_REQUEST,
                    f"object {object_id} would have {len(clicked.labels)} clicks in this session; "
                    f"at most {most} are taken (parameter limits.max_prompts): start another",
                )
            objects[object_id] = clicked
        return objects


def _undone(session: Session, followed: bool) -> Session:
    if followed:
        raise Refusal(
            Code.BAD_REQUEST,
            "a followed object moves on from its last mask, so nothing can be taken back: click on "
            "or off it, or release it (~/release_objects, ~/reset_clicks)",
        )
    before = session.undone()
    if before is None:
        raise Refusal(
            Code.BAD_REQUEST,
            f"nothing is left to be taken back (the last {MOST_UNDONE} requests can be)",
        )
    return before


def _answer_of(session: Session) -> Answer:
    return session.answer or Answer(session.cloud, [], [])


def _no_session(name: str) -> Refusal:
    return Refusal(
        Code.SESSION_LOST,
        f"there is no session {name!r}: it has never begun, was ended, or was forgotten as the "
        "least recently used (parameter sessions.max)",
    )


def _without_earlier_clicks(session: str, known: Mapping[int, ObjectClicks]) -> str:
    if not session or known:
        return ""
    return (
        f" (session {session!r} begins here: it is new, or was forgotten and needs all its clicks)"
    )
