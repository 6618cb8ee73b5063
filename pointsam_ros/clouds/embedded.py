"""Limits the device memory of embeddings by dropping the least recently used."""

from __future__ import annotations

from weakref import ref

from pointsam_ros.clouds.cloud_store import StoredCloud


class EmbeddedClouds:
    """Clouds with an embedding, in order of use. For the worker's thread only.

    A cloud whose embedding is dropped is itself retained, and embedded again when needed.
    """

    def __init__(self) -> None:
        self._used: list[ref[StoredCloud]] = []  # least recently used first

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the embeddings take."""
        return sum(_nbytes(cloud) for cloud in self._embedded())

    def use(self, cloud: StoredCloud, most_bytes: int) -> None:
        """Marks a cloud as used, and drops the least recently used embeddings of others until all
        fit into `most_bytes`, or only this one is left."""
        others = [known for known in self._embedded() if known is not cloud]
        taken = sum(map(_nbytes, others)) + _nbytes(cloud)
        while others and taken > most_bytes:
            taken -= _nbytes(others[0])
            others.pop(0).embedding = None
        self._used = [ref(known) for known in (*others, cloud)]

    def drop_all(self) -> bool:
        """Drops all embeddings; returns whether there was one."""
        return self._drop(self._embedded())

    def drop_others(self, cloud: StoredCloud) -> bool:
        """Drops all embeddings but this cloud's; returns whether there was one."""
        return self._drop([known for known in self._embedded() if known is not cloud])

    def _drop(self, clouds: list[StoredCloud]) -> bool:
        for cloud in clouds:
            cloud.embedding = None
        return bool(clouds)

    def _embedded(self) -> list[StoredCloud]:
        alive = [cloud for reference in self._used if (cloud := reference()) is not None]
        return [cloud for cloud in alive if cloud.embedding is not None]


def _nbytes(cloud: StoredCloud) -> int:
    return 0 if cloud.embedding is None else cloud.embedding.nbytes
