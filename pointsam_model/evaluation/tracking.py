"""How well ids stay with objects: CLEAR MOT and IDF1 on masks.

CLEAR MOT: Bernardin and Stiefelhagen, Evaluating Multiple Object Tracking Performance (2008).
IDF1: Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking
(2016).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pointsam_model.data.clouds import IGNORED, MIN_OBJECT_POINTS

SAME = 0.5  # mask IoU from which a track covers an object


@dataclass(frozen=True)
class TrackedCloud:
    """One cloud of a sequence.

    Attributes:
        label: (n,) int32 truth; at least 1: an object, the same number in all clouds of the
            sequence; 0: background, -1: ignored.
        masks: for each id the rows of the cloud that a tracker gave it.
    """

    label: NDArray[np.int32]
    masks: Mapping[int, NDArray[np.integer]]


@dataclass(frozen=True)
class TrackingResult:
    """What became of the objects of a sequence; results of several sequences add up.

    Attributes:
        objects: how often an object was to be seen, over all clouds.
        lost: how often no track covered it.
        false: how often a track covered no object.
        switches: how often an object was covered by another track than the last time.
        tracked: how often each object was covered by the one track that is its own (IDTP).
    """

    objects: int
    lost: int
    false: int
    switches: int
    tracked: int

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy: 1 is perfect, below 0 is possible."""
        return 1 - (self.lost + self.false + self.switches) / max(self.objects, 1)

    @property
    def idf1(self) -> float:
        """F1 score of tracks and objects that belong together, 0 to 1."""
        masks = self.objects - self.lost + self.false
        return 2 * self.tracked / max(self.objects + masks, 1)

    def with_right_ids(self) -> TrackingResult:
        """The same masks, had each its object's own id: no tracker does better."""
        covered = self.objects - self.lost
        return TrackingResult(self.objects, self.lost, self.false, 0, covered)

    def __add__(self, other: TrackingResult) -> TrackingResult:
        return TrackingResult(*(a + b for a, b in zip(_values(self), _values(other), strict=True)))


def evaluate_tracking(
    clouds: Iterable[TrackedCloud], min_points: int = MIN_OBJECT_POINTS
) -> TrackingResult:
    """Compares the tracks of a sequence with its objects.

    In each cloud an object keeps the track that it had as long as their IoU is at least 0.5; the
    others are assigned to each other by the greatest sum of IoU. Objects of fewer than `min_points`
    points in a cloud are ignored in it, and so are masks that mostly lie on ignored points.
    """
    objects = lost = false = switches = 0
    last: dict[int, int] = {}  # the track that covered each object last
    together: Counter[tuple[int, int]] = Counter()  # clouds in which object and track overlap
    for cloud in clouds:
        labels, ids, iou = _overlaps(cloud, min_points)
        pairs = _matched(labels, ids, iou, last)
        objects += len(labels)
        lost += len(labels) - len(pairs)
        false += len(ids) - len(pairs)
        switches += sum(last.get(label, track) != track for label, track in pairs.items())
        last.update(pairs)
        rows, columns = np.nonzero(iou >= SAME)
        together.update((labels[r], ids[c]) for r, c in zip(rows, columns, strict=True))
    return TrackingResult(objects, lost, false, switches, _belonging(together))


def _overlaps(
    cloud: TrackedCloud, min_points: int
) -> tuple[list[int], list[int], NDArray[np.float64]]:
    """Labels of the o objects that count, ids of the t masks that do, and their IoU (o, t)."""
    numbers, counts = np.unique(cloud.label[cloud.label > 0], return_counts=True)
    few = np.isin(cloud.label, numbers[counts < min_points])
    label = np.where(few, IGNORED, cloud.label)
    labels = numbers[counts >= min_points]
    # Each point's object; one number more for the background.
    number = np.where(label > 0, np.searchsorted(labels, label), len(labels))
    sizes = np.bincount(number[label > 0], minlength=len(labels))
    ids, iou = [], []
    for track, rows in cloud.masks.items():
        counted = rows[label[rows] != IGNORED]
        if 2 * len(counted) < len(rows):
            continue
        shared = np.bincount(number[counted], minlength=len(labels) + 1)[: len(labels)]
        ids.append(track)
        iou.append(shared / np.maximum(sizes + len(counted) - shared, 1))
    return labels.tolist(), ids, np.reshape(iou, (len(ids), len(labels))).T


def _matched(
    labels: Sequence[int], ids: Sequence[int], iou: NDArray[np.float64], last: Mapping[int, int]
) -> dict[int, int]:
    """The track of each covered object."""
    value = np.where(iou >= SAME, iou, 0.0)
    for row, label in enumerate(labels):
        if last.get(label) in ids:
            column = ids.index(last[label])
            # More than any sum of others: what belongs together stays so.
            value[row, column] += len(labels) * (value[row, column] > 0)
    rows, columns = linear_sum_assignment(value, maximize=True)
    return {labels[r]: ids[c] for r, c in zip(rows, columns, strict=True) if value[r, c] > 0}


def _belonging(together: Mapping[tuple[int, int], int]) -> int:
    """Clouds in which objects are with their own track, each object having at most one."""
    objects = sorted({label for label, _ in together})
    tracks = sorted({track for _, track in together})
    clouds = np.zeros((len(objects), len(tracks)))
    for (label, track), count in together.items():
        clouds[objects.index(label), tracks.index(track)] = count
    return int(clouds[linear_sum_assignment(clouds, maximize=True)].sum())


def _values(result: TrackingResult) -> tuple[int, ...]:
    return result.objects, result.lost, result.false, result.switches, result.tracked
