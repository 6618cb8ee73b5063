"""Sessions: requests that add clicks to earlier ones on the same cloud.

A session keeps its cloud: at a sensor's rate, the clouds retained by stamp are replaced within
seconds.
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

MOST_UNDONE = 20  # most requests of a session that can be undone


@dataclass(frozen=True)
class ObjectClicks:
    """All prompts for one object so far, and the resulting mask.

    Attributes:
        points: (q,3) float64 [m], clicks in the cloud's coordinate frame.
        labels: (q,) int64, 1 on the object, 0 off it.
        mask: the last mask, valid beyond the lifetime of its embedding; None: none yet.
        id: the id of the instance; 0: none yet.
        box: the last box around it, in the cloud's coordinate frame; None: none.
    """

    points: np.ndarray
    labels: np.ndarray
    mask: MaskPrompt | None = None
    id: int = 0
    box: Box | None = None

    def with_clicks(self, points: np.ndarray, labels: np.ndarray) -> ObjectClicks:
        """A copy with further clicks."""
        return replace(
            self,
            points=np.concatenate([self.points, points]),
            labels=np.concatenate([self.labels, labels]),
        )

    def with_box(self, box: Box) -> ObjectClicks:
        """A copy with another box and without the mask, which is then computed afresh."""
        return replace(self, box=box, mask=None)


NO_CLICKS = ObjectClicks(np.empty((0, 3)), np.empty(0, np.int64))


@dataclass(frozen=True)
class Session:
    """A cloud, and the prompts for objects on it.

    Attributes:
        cloud: the cloud of all its requests.
        objects: the prompts, by object_id.
        answer: the answer to the last request; None: none yet.
        earlier: the session before each of the last requests, oldest first.
        transforms: to the cloud's coordinate frame at its time, by the source frame of the clicks;
            kept because tf2 drops them after 10 s, while a session may last longer.
    """

    cloud: StoredCloud
    objects: Mapping[int, ObjectClicks] = field(default_factory=dict)
    answer: Answer | None = None
    earlier: tuple[Session, ...] = ()
    transforms: Mapping[str, Transform] = field(default_factory=dict)

    def after(self, told: Mapping[int, ObjectClicks]) -> Session:
        """A copy after a request with these prompts."""
        before = (*self.earlier, replace(self, earlier=()))[-MOST_UNDONE:]
        return replace(self, objects={**self.objects, **told}, answer=None, earlier=before)

    def undone(self) -> Session | None:
        """The session before the last request; None: there was none, or too many were undone."""
        if not self.earlier:
            return None
        return replace(self.earlier[-1], earlier=self.earlier[:-1])

    def with_ids(self, ids: Mapping[int, int]) -> Session:
        """A copy with the ids of instances, by object_id."""
        named = {
            object_id: replace(self.objects[object_id], id=track_id)
            for object_id, track_id in ids.items()
        }
        return replace(self, objects={**self.objects, **named})


class Sessions:
    """Sessions by name; the least recently used is dropped. For the worker's thread only."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, name: str) -> Session | None:
        """The session with a name, or None; marks it as used."""
        if name in self._sessions:
            self._sessions.move_to_end(name)
        return self._sessions.get(name)

    def put(self, name: str, session: Session, most: int) -> None:
        """Stores a session under its name, and keeps at most `most` in total."""
        self._sessions[name] = session
        self._sessions.move_to_end(name)
        while len(self._sessions) > most:
            self._sessions.popitem(last=False)

    def forget(self, name: str) -> None:
        """Ends a session; its name may be used again."""
        self._sessions.pop(name, None)
