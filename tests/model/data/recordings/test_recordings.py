"""Recordings as people have them: clouds that cannot be read, topics, indices, times, files."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from recorded import (
    COMPRESSIONS,
    EMPTY,
    POINT_CLOUD2,
    ROS1,
    ROS2,
    SECOND,
    UNSEEN,
    Mcap,
    bag,
    cdr,
    mcap,
    points,
    ros1_bag,
)
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from pointsam_model.data.readers import read_cloud, read_clouds
from pointsam_model.data.readers.recordings import compression
from pointsam_model.errors import CloudError, CloudWarning

BOTH = pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
GOOD = [cdr(points(number)) for number in range(12)]


def numbers(path: Path, **options: Any) -> list[int]:
    """Which clouds are given, by their points; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CloudWarning)
        clouds = list(read_clouds(path, **options))
    found = [round(float(cloud.xyz[0, 0]) - 1) // 100 for cloud in clouds]
    for cloud, number in zip(clouds, found, strict=True):
        np.testing.assert_array_equal(cloud.xyz, points(number))
    return found


def on_points(*data: bytes) -> list[tuple[str, float, bytes]]:
    return [("/points", 10 + second, each) for second, each in enumerate(data)]


# --- messages that cannot be read


@BOTH
@pytest.mark.parametrize(
    "bad", [cdr(EMPTY), cdr(UNSEEN), cdr(points(1), declared=9), b"\0\1\0\0xy"]
)
def test_what_cannot_be_read_is_passed_over_and_counted(
    tmp_path: Path, storage: StoragePlugin, bad: bytes
) -> None:
    path = bag(tmp_path / "bag", on_points(bad, GOOD[1], bad, GOOD[3]), storage)
    with pytest.warns(CloudWarning, match=r"2 of 4 messages on /points .* /points\[0\]: ") as told:
        clouds = list(read_clouds(path))
    assert len(told) == 1
    assert [cloud.name for cloud in clouds] == ["/points[1]", "/points[3]"]
    np.testing.assert_array_equal(clouds[1].xyz, points(3))


def test_the_first_cloud_is_the_first_readable_one(tmp_path: Path) -> None:
    path = bag(tmp_path / "bag", on_points(cdr(EMPTY), GOOD[1]))
    with pytest.warns(CloudWarning, match="1 of 2 messages .* width is 0"):
        assert read_cloud(path).name == "/points[1]"


def test_a_recording_in_which_nothing_can_be_read_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    path = bag(tmp_path / "bag", on_points(cdr(UNSEEN), cdr(EMPTY)))
    with pytest.raises(CloudError, match=r"none of the 2 messages on /points .* 4 are NaN"):
        list(read_clouds(path))


# --- topics


@BOTH
def test_the_first_topic_that_has_messages_is_taken(tmp_path: Path, storage: StoragePlugin) -> None:
    path = bag(tmp_path / "bag", [("/b", 1, GOOD[2])], storage, topics=("/a", "/b", "/c"))
    assert numbers(path) == [2]
    with pytest.raises(CloudError, match="no PointCloud2 topic /d; it has /a, /b, /c"):
        read_cloud(path, "/d")
    with pytest.raises(CloudError, match="no message on /a; there are some on /b"):
        read_cloud(path, "/a")


def test_two_publishers_of_a_topic_are_read_together_in_order_of_time(tmp_path: Path) -> None:
    file = Mcap(tmp_path / "a.mcap")
    channels = [file.channel("/points"), file.channel("/points")]
    for number in (1, 0, 3, 2):
        file.write(channels[number % 2], number, GOOD[number])
    assert numbers(file.finish()) == [0, 1, 2, 3]


# --- which cloud


@BOTH
def test_an_index_chooses_a_cloud_from_the_start_or_the_end(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    path = bag(tmp_path / "bag", on_points(*GOOD[:5]), storage)
    assert numbers(path, index=3) == [3, 4]
    assert numbers(path, index=-1) == [4]
    assert read_cloud(path, index=-5).name == "/points[0]"
    for index in (5, -6):
        with pytest.raises(CloudError, match=rf"index is {index}; /points has 5 messages, 0 to 4"):
            read_cloud(path, index=index)


@BOTH
def test_a_time_chooses_the_first_cloud_that_is_not_before(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    # another topic begins the recording, 2 s before the clouds
    messages = [("/other", 8.0, GOOD[9]), *on_points(*GOOD[:3])]
    path = bag(tmp_path / "bag", messages, storage, topics=("/points", "/other"))
    assert numbers(path, time=0) == [0, 1, 2]
    assert numbers(path, time=3) == [1, 2]
    assert numbers(path, time=3.001) == [2]
    for time in (4.001, 1e300):
        with pytest.raises(
            CloudError, match=r"time is .*; the last message on /points is 4\.000 s"
        ):
            read_cloud(path, time=time)


@pytest.mark.parametrize("time", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(tmp_path: Path, time: float) -> None:
    path = bag(tmp_path / "bag", on_points(GOOD[0]))
    with pytest.raises(CloudError, match=r"time is .*; it must be at least 0"):
        read_cloud(path, time=time)


def test_index_and_time_together_or_of_a_single_cloud_are_refused(tmp_path: Path) -> None:
    path = bag(tmp_path / "bag", on_points(GOOD[0]))
    with pytest.raises(CloudError, match="not both"):
        read_cloud(path, index=0, time=0)
    np.save(tmp_path / "a.npy", points(1))
    with pytest.raises(CloudError, match="single cloud; only recordings have an index and a time"):
        read_cloud(tmp_path / "a.npy", index=0)


def test_the_message_at_an_index_is_never_replaced_by_the_next(tmp_path: Path) -> None:
    path = bag(tmp_path / "bag", on_points(GOOD[0], cdr(EMPTY), GOOD[2]))
    with pytest.raises(CloudError, match=r"/points\[1\]: the cloud's width is 0"):
        read_cloud(path, index=1)


def test_who_wants_to_know_is_told_how_far_the_indexing_is(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    file = Mcap(tmp_path / "a.mcap", use_chunking=False)
    channel = file.channel("/points")
    for number in range(3):
        file.write(channel, number, GOOD[number])
    path = file.finish()
    read_cloud(path, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and len(told) >= 3
    assert {total for _, total in told} == {path.stat().st_size}


# --- files


def test_a_definition_of_another_kind_beside_does_not_matter(tmp_path: Path) -> None:
    path = bag(tmp_path / "bag", on_points(GOOD[0]))
    with sqlite3.connect(path / "bag.db3") as database:
        idl = "module pkg { module msg { @bit_bound(8) enum Odd { A }; }; };"
        row = ("pkg/msg/Odd", "ros2idl", idl, "RIHS01_0")
        columns = "topic_type, encoding, encoded_message_definition, type_description_hash"
        marks = "(?, ?, ?, ?)"
        database.execute(f"INSERT INTO message_definitions ({columns}) VALUES {marks}", row)
        database.execute("INSERT INTO topics VALUES (9, '/odd', 'pkg/msg/Odd', 'cdr', '', '')")
    assert numbers(path) == [0]


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_a_folder_without_metadata_is_read_in_the_order_of_its_files_numbers(
    tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    for number in range(12):
        file = folder / f"drive_{number}{suffix}"
        if suffix == ".mcap":
            mcap(file, [GOOD[number]])
        else:
            bag(tmp_path / f"of_{number}", on_points(GOOD[number]))
            shutil.move(tmp_path / f"of_{number}" / f"of_{number}.db3", file)
    assert numbers(folder) == list(range(12))
    assert numbers(folder, index=10) == [10, 11]
    assert numbers(folder, index=-2) == [10, 11]
    assert read_cloud(folder, index=11).name == "/points[11]"


def test_what_metadata_lists_is_read_and_what_is_missing_of_it_told(tmp_path: Path) -> None:
    folder = bag(tmp_path / "bag", on_points(GOOD[0]), StoragePlugin.MCAP)
    mcap(folder / "beside.mcap", [GOOD[5]])
    assert numbers(folder) == [0]
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("- bag.mcap", "- bag.mcap\n  - bag_1.mcap"))
    with pytest.warns(CloudWarning, match=r"lists bag_1\.mcap, which is not there"):
        assert read_cloud(folder).name == "/points[0]"
    metadata.write_text("{")
    assert numbers(folder) == [0, 5]


def test_a_file_of_a_folder_that_is_broken_is_told_and_the_others_read(tmp_path: Path) -> None:
    mcap(tmp_path / "a_1.mcap", [GOOD[1]])
    (tmp_path / "a_0.mcap").write_bytes(b"nothing")
    with pytest.warns(CloudWarning, match=r"a_0\.mcap is no MCAP file.*; the other files"):
        (cloud,) = read_clouds(tmp_path)
    np.testing.assert_array_equal(cloud.xyz, points(1))


@BOTH
def test_messages_compressed_one_by_one_are_read_without_metadata(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    if storage is StoragePlugin.MCAP:
        packed = [zstandard.compress(data) for data in GOOD[:2]]
        path = mcap(tmp_path / "alone.mcap", packed)
    else:
        folder = bag(tmp_path / "bag", on_points(*GOOD[:2]), compressed=CompressionMode.MESSAGE)
        path = (folder / "bag.db3").rename(tmp_path / "alone.db3")
    assert numbers(path) == [0, 1]
    assert read_cloud(path).cdr == GOOD[0]


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_files_compressed_as_a_whole_are_unpacked_within_a_bound(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = StoragePlugin.MCAP if suffix == ".mcap" else StoragePlugin.SQLITE3
    folder = bag(tmp_path / "bag", on_points(*GOOD[:2]), storage)
    packed = tmp_path / f"a{suffix}.zstd"
    packed.write_bytes(zstandard.compress((folder / f"bag{suffix}").read_bytes()))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    assert numbers(packed) == [0, 1]
    assert set(tmp_path.iterdir()) == before, "what was unpacked is removed"
    monkeypatch.setattr(compression, "MOST_FILE_BYTES", 100)
    with pytest.raises(CloudError, match=r"holds more than the 100 bytes .*zstd -d"):
        read_cloud(packed)


def test_a_bag_of_ros2_compressed_as_whole_files_is_read_by_its_folder(tmp_path: Path) -> None:
    folder = bag(tmp_path / "bag", on_points(*GOOD[:2]), compressed=CompressionMode.FILE)
    assert [path.suffix for path in folder.iterdir() if path.suffix != ".yaml"] == [".zstd"]
    assert numbers(folder) == [0, 1]


@pytest.mark.parametrize("packing", COMPRESSIONS)
@pytest.mark.parametrize("chunked", [True, False])
def test_mcap_is_read_however_its_chunks_are_packed(
    tmp_path: Path, packing: Any, chunked: bool
) -> None:
    path = mcap(tmp_path / "a.mcap", GOOD[:3], compression=packing, use_chunking=chunked)
    assert numbers(path, index=1) == [1, 2]


def test_chunks_that_unpack_to_more_than_a_bound_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mcap(tmp_path / "a.mcap", GOOD[:1])
    monkeypatch.setattr(compression, "MOST_BYTES", 50)
    with pytest.raises(CloudError, match="zstd data holds more than 50 bytes"):
        read_cloud(path)


@pytest.mark.parametrize("packing", ["", "LZ4", "BZ2"])
def test_a_bag_of_ros1_gives_its_clouds_as_ros2_would_send_them(
    tmp_path: Path, packing: str
) -> None:
    clouds = [(10.0 + number, cdr(points(number), ROS1)) for number in range(3)]
    path = ros1_bag(tmp_path / "a.bag", clouds, packing)
    assert numbers(path) == [0, 1, 2]
    assert numbers(path, time=11) == [1, 2]
    cloud = read_cloud(path)
    assert (cloud.frame_id, cloud.stamp_ns) == ("lidar", 7 * SECOND + 5)
    assert cloud.cdr is not None
    message: Any = ROS2.deserialize_cdr(cloud.cdr, POINT_CLOUD2)
    assert bytes(message.data) == points(0).tobytes() and message.point_step == 12
    with pytest.raises(CloudError, match="no PointCloud2 topic /up; it has /points"):
        read_cloud(path, "/up")
