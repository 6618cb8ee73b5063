#!/bin/sh
# rosbags 0.11.9: one message definition in IDL that its parser does not take makes AnyReader refuse
# the whole bag, also the topics whose types it knows. Here it is a union, as OMG IDL has them, of a
# topic beside one of std_msgs/String. Seen: AnyReaderError "Could not parse" when the bag is opened,
# before anybody asks for a topic; a type store given as default does not change it. The low-level
# rosbags.rosbag2.Reader opens the same bag and gives its messages.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rosbags==0.11.9
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

assert version("rosbags") == "0.11.9", version("rosbags")
STORE = get_typestore(Stores.ROS2_JAZZY)
KIND = "std_msgs/msg/String"
UNION = "union Level switch (long) { case 0: octet low; case 1: float high; };"
IDL = f"{'=' * 80}\nIDL: pkg/msg/Level\nmodule pkg {{ module msg {{ {UNION} }}; }};"


def recorded(path: Path, beside: bool) -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        told = writer.add_connection("/told", KIND, typestore=STORE)
        writer.write(told, 1, STORE.serialize_cdr(STORE.types[KIND]("hello"), KIND))
        if beside:
            writer.add_connection("/level", "pkg/msg/Level", msgdef=IDL, rihs01="RIHS01_0")
    return path


def opened(path: Path) -> str:
    try:
        with AnyReader([path], default_typestore=STORE) as reader:
            return " ".join(item.topic for item in reader.connections)
    except AnyReaderError as error:
        return f"AnyReaderError: {str(error).splitlines()[0]}"


folder = Path(sys.argv[1])
plain, mixed = recorded(folder / "plain", False), recorded(folder / "mixed", True)
print("without the union:", opened(plain))
print("with it:", opened(mixed))
assert opened(plain) == "/told"
assert "Could not parse" in opened(mixed), "rosbags takes the bag now: this finding is out of date"
with Reader(mixed) as reader:
    ((topic, text),) = (
        (connection.topic, STORE.deserialize_cdr(data, KIND).data)
        for connection, _, data in reader.messages()
    )
print("low-level reader:", topic, text)
assert (topic, text) == ("/told", "hello")
PYTHON
