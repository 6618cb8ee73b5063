"""Recordings that are cut off or damaged: what is whole is given, and the rest is told."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pytest
import zstandard
from recorded import COMPRESSIONS, ROS1, Mcap, bag, cdr, mcap, points, ros1_bag

from pointsam_model.data.readers import SensorCloud, read_clouds
from pointsam_model.errors import CloudError, CloudWarning

COUNT = 8
CLOUDS = [cdr(points(number)) for number in range(COUNT)]
PLACES = 40


def database(path: Path, clouds: list[bytes] = CLOUDS) -> Path:
    messages = [("/points", float(second), data) for second, data in enumerate(clouds)]
    folder = bag(path.with_suffix(""), messages)
    return (folder / f"{path.stem}.db3").rename(path)


def whole(folder: Path, kind: str) -> Path:
    if kind == "bag":
        clouds = [(float(number), cdr(points(number), ROS1)) for number in range(COUNT)]
        return ros1_bag(folder / "a.bag", clouds)
    if kind == "db3":
        return database(folder / "a.db3")
    return mcap(folder / "a.mcap", CLOUDS, use_chunking=kind == "mcap")


def read(path: Path) -> tuple[list[SensorCloud], str]:
    """The clouds of a file, and what was told about it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", CloudWarning)
        clouds = list(read_clouds(path))
    assert all(issubclass(each.category, CloudWarning) for each in told)
    return clouds, " ".join(str(each.message) for each in told)


def assert_first(clouds: list[SensorCloud], least: int) -> None:
    assert len(clouds) >= least
    for number, cloud in enumerate(clouds):
        np.testing.assert_array_equal(cloud.xyz, points(number))


@pytest.mark.parametrize("packing", COMPRESSIONS)
@pytest.mark.parametrize("chunked", [True, False])
def test_an_mcap_that_was_cut_off_gives_its_whole_messages(
    tmp_path: Path, packing: object, chunked: bool
) -> None:
    path = mcap(tmp_path / "a.mcap", CLOUDS, compression=packing, use_chunking=chunked)
    data = path.read_bytes()
    last = data.rindex(points(7).tobytes()[:8]) if packing is COMPRESSIONS[0] else len(data) // 2
    path.write_bytes(data[: last + 4])
    clouds, told = read(path)
    assert_first(clouds, 7 if packing is COMPRESSIONS[0] else 2)
    assert "cut off or broken after" in told and "mcap recover a.mcap" in told


def test_whole_messages_of_a_chunk_that_was_cut_off_are_given(tmp_path: Path) -> None:
    for packing in COMPRESSIONS:
        path = mcap(tmp_path / "a.mcap", CLOUDS * 200, chunk_size=10**9, compression=packing)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
        clouds, told = read(path)
        assert_first(clouds[:COUNT], COUNT)
        assert len(clouds) > (600 if packing is COMPRESSIONS[0] else 100), packing
        assert "mcap recover" in told


def test_an_mcap_without_its_end_but_with_all_messages_is_whole(tmp_path: Path) -> None:
    path = mcap(tmp_path / "a.mcap", CLOUDS)
    path.write_bytes(path.read_bytes()[:-20])
    clouds, told = read(path)
    assert_first(clouds, COUNT)
    assert told == ""


def test_a_chunk_whose_checksum_is_another_is_passed_over(tmp_path: Path) -> None:
    path = mcap(tmp_path / "a.mcap", CLOUDS, compression=COMPRESSIONS[0])
    data = bytearray(path.read_bytes())
    data[data.index(points(3).tobytes())] ^= 1
    path.write_bytes(data)
    clouds, told = read(path)
    assert [cloud.name for cloud in clouds] == [f"/points[{n}]" for n in (0, 1, 2, 4, 5, 6, 7)]
    assert "1 of 8 messages" in told and "checksum" in told


@pytest.mark.parametrize("size", [1, 30, 500])
def test_a_database_cut_off_anywhere_gives_no_message_half(tmp_path: Path, size: int) -> None:
    large = [cdr(np.tile(points(number), (size, 1))) for number in range(30)]
    path = database(tmp_path / "a.db3", large)
    data, given = path.read_bytes(), [0]
    for end in range(len(data) // 3, len(data), len(data) // 60 + 1):
        path.write_bytes(data[:end])
        try:
            clouds, told = read(path)
        except CloudError:
            continue
        assert "ros2 bag reindex" in told or "passed over" in told or len(clouds) == 30
        for cloud in clouds:
            number = round(float(cloud.xyz[0, 0])) // 100
            np.testing.assert_array_equal(cloud.xyz, np.tile(points(number), (size, 1)))
        given.append(len(clouds))
    assert max(given) > 10


def test_what_a_recorder_left_in_the_log_of_a_database_is_read(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db3", CLOUDS[:1])
    recorder = sqlite3.connect(path)
    recorder.execute("PRAGMA journal_mode = WAL")
    recorder.execute("INSERT INTO messages VALUES (99, 1, 5, ?)", (CLOUDS[1],))
    recorder.commit()
    clouds, _ = read(path)
    recorder.close()
    assert_first(clouds, 2)


def test_a_bag_of_ros1_whose_recorder_died_is_read(tmp_path: Path) -> None:
    path = whole(tmp_path, "bag")
    data = path.read_bytes()
    unfinished = tmp_path / "b.bag.active"
    unfinished.write_bytes(data[: data.index(points(6).tobytes()) + 8])
    clouds, told = read(unfinished)
    assert_first(clouds, 6)
    assert "rosbag reindex b.bag.active" in told


def test_a_packed_file_that_was_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    large = [cdr(rng.random((20_000, 3), np.float32)) for _ in range(4)]
    path = mcap(tmp_path / "a.mcap", [*CLOUDS, *large], compression=COMPRESSIONS[0])
    packed = zstandard.compress(path.read_bytes())
    path = tmp_path / "a.mcap.zstd"
    path.write_bytes(packed[: len(packed) // 2])
    clouds, told = read(path)
    assert_first(clouds[:COUNT], COUNT)
    assert "cut off" in told


def test_a_message_whose_compressed_frame_is_cut_off_is_passed_over(tmp_path: Path) -> None:
    frame = zstandard.compress(CLOUDS[0])
    cut = [frame[:end] for end in range(4, len(frame) - 1, 5)]
    clouds, told = read(mcap(tmp_path / "a.mcap", [*cut, frame]))
    assert_first(clouds, 1)
    assert f"{len(cut)} of {len(cut) + 1} messages" in told


def test_a_length_that_is_declared_is_never_taken_for_true(tmp_path: Path) -> None:
    file = Mcap(tmp_path / "a.mcap", use_chunking=False)
    file.write(file.channel("/points"), 0, CLOUDS[0])
    path = file.finish()
    data = bytearray(path.read_bytes())
    start = data.index(CLOUDS[0]) - 31
    data[start + 1 : start + 9] = (2**62).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(CloudError):
        read(path)


KINDS = pytest.mark.parametrize("kind", ["mcap", "unchunked", "db3", "bag"])


@KINDS
def test_a_recording_cut_off_anywhere_gives_what_is_whole_or_is_refused(
    tmp_path: Path, kind: str
) -> None:
    path = whole(tmp_path, kind)
    data, given = path.read_bytes(), []
    for place in range(PLACES):
        path.write_bytes(data[: len(data) * place // PLACES])
        try:
            clouds, told = read(path)
        except CloudError:
            given.append(0)
            continue
        assert len(clouds) == COUNT or told
        for cloud in clouds:
            np.testing.assert_array_equal(cloud.xyz, points(round(cloud.xyz[0, 0]) // 100))
        given.append(len(clouds))
    assert given[0] == 0 and max(given) >= COUNT - 1


@KINDS
def test_a_recording_broken_anywhere_gives_clouds_or_is_refused(tmp_path: Path, kind: str) -> None:
    path = whole(tmp_path, kind)
    data, rng, given = path.read_bytes(), random.Random(1), 0
    for _ in range(PLACES):
        broken = bytearray(data)
        for _ in range(3):
            broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        with contextlib.suppress(CloudError):
            given += len(read(path)[0])
    assert given > PLACES * COUNT // 2, "most of it is given"
