"""Coordinate frames that move, for tests: a tree with the rules of tf2's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from pointsam_ros.requests.transforms import Gap, NoTransformError, Transform

STATIC = 0


@dataclass
class Edge:
    """A frame in its parent: where it was at which time [ns]; a static one is there always."""

    parent: str
    poses: dict[int, Transform] = field(default_factory=dict)

    def at(self, child: str, stamp_ns: int) -> Transform:
        if STATIC in self.poses:
            return self.poses[STATIC]
        known = sorted(self.poses)
        stamp_ns = stamp_ns or known[-1]
        if not known[0] <= stamp_ns <= known[-1]:
            way = "past" if stamp_ns < known[0] else "future"
            raise NoTransformError(Gap.OTHER_TIME, f"{child} would be extrapolated into the {way}")
        if stamp_ns in self.poses:
            return self.poses[stamp_ns]
        later = next(index for index, stamp in enumerate(known) if stamp > stamp_ns)
        ends = known[later - 1 : later + 1]
        first, second = (self.poses[stamp] for stamp in ends)
        share = (stamp_ns - ends[0]) / (ends[1] - ends[0])
        turns = Rotation.from_matrix([first.rotation, second.rotation])
        shift = (1 - share) * first.translation + share * second.translation
        return Transform(Slerp([0, 1], turns)(share).as_matrix(), shift)


class Tree:
    """A `Lookup`: frames by their names, each in its parent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []
        self._edges: dict[str, Edge] = {}

    def put(self, parent: str, child: str, pose: Transform, stamp_ns: int = STATIC) -> None:
        self._edges.setdefault(child, Edge(parent)).poses[stamp_ns] = pose

    def __call__(self, target: str, source: str, stamp_ns: int) -> Transform:
        self.asked.append((target, source, stamp_ns))
        known = set(self._edges) | {edge.parent for edge in self._edges.values()}
        for frame in (target, source):
            if frame not in known:
                raise NoTransformError(Gap.UNKNOWN_FRAME, f'"{frame}" does not exist')
        up, down = self._to_root(source), self._to_root(target)
        if up[-1] != down[-1]:
            if stamp_ns:  # as tf2: what is not known at that time is told first
                _ = self._pose(up, stamp_ns), self._pose(down, stamp_ns)
            raise NoTransformError(Gap.DISCONNECTED, f"{source} and {target}: two trees")
        stamp_ns = stamp_ns or self._newest([*up[:-1], *down[:-1]])
        pose = _then(self._pose(up, stamp_ns), _inverse(self._pose(down, stamp_ns)))
        return replace(pose, stamp_ns=stamp_ns)

    def forget(self) -> None:
        for edge in self._edges.values():
            edge.poses = {at: pose for at, pose in edge.poses.items() if at == STATIC}
        self._edges = {child: edge for child, edge in self._edges.items() if edge.poses}

    def _newest(self, frames: list[str]) -> int:
        """The newest time at which all of them are known; 0: at any time."""
        moving = (poses for each in frames if STATIC not in (poses := self._edges[each].poses))
        return min((max(poses) for poses in moving), default=0)

    def _to_root(self, frame: str) -> list[str]:
        way = [frame]
        while way[-1] in self._edges:
            way.append(self._edges[way[-1]].parent)
        return way

    def _pose(self, way: list[str], stamp_ns: int) -> Transform:
        pose = Transform(np.eye(3), np.zeros(3))
        for frame in way[:-1]:
            pose = _then(pose, self._edges[frame].at(frame, stamp_ns))
        return pose


def _then(first: Transform, second: Transform) -> Transform:
    return Transform(second.rotation @ first.rotation, second(first.translation[None])[0])


def _inverse(pose: Transform) -> Transform:
    return Transform(pose.rotation.T, -pose.rotation.T @ pose.translation)
