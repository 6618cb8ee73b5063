"""Sessions: requests that add clicks to earlier ones on the same cloud.

A session keeps its cloud: at a sensor's rate those that are retained for requests by stamp are gone
within a second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pointsam_model import Box, MaskPrompt
from pointsam_ros.clouds.cloud_store import StoredCloud
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.requests.transforms import Transform

MOST_UNDONE = 20  # requests of a session that can be taken back


@dataclass(frozen=True)
class ObjectClicks:
    """All that was said of one object so far, and the mask it gave.

    Attributes:
        points: (q,3) float64 [m], in the cloud's coordinate frame.
        labels: (q,) int64, 1 on the object, 0 off it.
        mask: the last mask; None: none yet. It outlives the embedding that it was made on.
        id: of the instance; 0: none yet.
        box: the last box about it, in the cloud's coordinate frame; None: none.
    """

    points: np.ndarray
    labels: np.ndarray
    mask: MaskPrompt | None = None
    id: int = 0
    box: Box | None = None

    def with_clicks(self, points: np.ndarray, labels: np.ndarray) -> ObjectClicks:
        """The same object with further clicks."""
        return replace(
            self,
            points=np.concatenate([self.points, points]),
            labels=np.concatenate([self.labels, labels]),
        )

    def with_box(self, box: Box) -> ObjectClicks:
        """The same object in another box: its mask begins anew."""
        return replace(self, box=box, mask=None)


NO_CLICKS = ObjectClicks(np.empty((0, 3)), np.empty(0, np.int64))


@dataclass(frozen=True)
class Session:
    """A cloud and what was said about its objects.

    Attributes:
        cloud: that it stays on.
        objects: what was said, by object_id.
        answer: to the last request; None: there was none yet.
        earlier: the session before each of the last requests, the oldest first.
        transforms: into the cloud's coordinate frame at its time, by the frame that clicks came in:
            tf2 forgets them after 10 s, while a session goes on.
    """

    cloud: StoredCloud
    objects: Mapping[int, ObjectClicks] = field(default_factory=dict)
    answer: Answer | None = None
    earlier: tuple[Session, ...] = ()
    transforms: Mapping[str, Transform] = field(default_factory=dict)

    def after(self, told: Mapping[int, ObjectClicks]) -> Session:
        """The same after a request that said this of some objects."""
        before = (*self.earlier, replace(self, earlier=()))[-MOST_UNDONE:]
        return replace(self, objects={**self.objects, **told}, answer=None, earlier=before)

    def undone(self) -> Session | None:
        """The same before the last request; None: there was none, or it is too long ago."""
        if not self.earlier:
            return None
        return replace(self.earlier[-1], earlier=self.earlier[:-1])

    def with_ids(self, ids: Mapping[int, int]) -> Session:
        """The same with the ids of instances, by object_id."""
        named = {
            object_id: replace(self.objects[object_id], id=track_id)
            for object_id, track_id in ids.items()
        }
        return replace(self, objects={**self.objects, **named})


class Sessions:
    """Sessions by name; the least recently used goes. Only the worker's thread uses it."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, name: str) -> Session | None:
        """The session of a name; it counts as used now."""
        if name in self._sessions:
            self._sessions.move_to_end(name)
        return self._sessions.get(name)

    def put(self, name: str, session: Session, most: int) -> None:
        """Keeps a session under its name, and at most `most` in all."""
        self._sessions[name] = session
        self._sessions.move_to_end(name)
        while len(self._sessions) > most:
            self._sessions.popitem(last=False)

    def forget(self, name: str) -> None:
        """Ends a session; its name is free again."""
        self._sessions.pop(name, None)

    def clear(self) -> None:
        """Ends all sessions."""
        self._sessions.clear()
