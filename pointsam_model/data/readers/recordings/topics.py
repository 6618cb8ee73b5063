"""What a file of a recording offers: topics of clouds, their messages in the order of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pointsam_model.data.clouds import SensorCloud

# Told how much of how much has been looked through, in whatever unit.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CloudTopic:
    """The clouds of one topic in one file.

    Attributes:
        name: of the topic.
        times: (m,) int64 when each message was recorded [ns], ascending.
        read: the cloud of a message from its number in the file and a name for it; raises
            CloudError where it cannot be read.
        problem: why none of them can be read here, and what would help; empty: nothing.
    """

    name: str
    times: NDArray[np.int64]
    read: Callable[[int, str], SensorCloud]
    problem: str = ""


class RecordedFile(Protocol):
    """One file of a recording, opened and indexed; `close` ends it.

    Attributes:
        topics: those of clouds, in the file's order; some may have no messages.
        others: topics of something else, with their types, for messages.
        start_ns: when the first message of any topic was recorded; None: there is none.
        damage: what of the file cannot be read, and how it may be recovered; empty: nothing.
    """

    topics: list[CloudTopic]
    others: list[str]
    start_ns: int | None
    damage: str

    def close(self) -> None: ...
