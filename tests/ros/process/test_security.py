"""What the node exposes, what it refuses for its size, and that no message names a file."""

from __future__ import annotations

import importlib.util
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked_nodes import ForkedNode
from geometry_msgs.msg import PointStamped
from node_process import TINY, Client
from places import ROOT
from sensor_msgs.msg import PointField
from std_msgs.msg import Header

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.codes import Code

POLICY = ROOT / "config" / "sros2" / "pointsam.policy.xml"

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)

Fork = Callable[..., ForkedNode]

# What the policy allows beyond what is there without these packages.
NEED = {"tf2_ros": {"/tf", "/tf_static"}, "vision_msgs": {"/pointsam/detections"}}
ACTION = {
    "services": ("send_goal", "cancel_goal", "get_result"),
    "topics": ("feedback", "status"),
}


def allowed(path: str) -> dict[tuple[str, str], set[str]]:
    """What a context may do: (kind, rule) -> full names, actions as what they are made of."""
    root = ElementTree.parse(POLICY).getroot()
    (profile,) = root.findall(f"contexts/context[@path='{path}']/profiles/profile")
    rules: dict[tuple[str, str], set[str]] = {}
    for group in profile:
        for rule, value in group.attrib.items():
            assert value == "ALLOW"
            for item in group:
                name = item.text or ""
                if name.startswith("~"):
                    name = f"{profile.attrib['ns']}{profile.attrib['node']}{name[1:]}"
                rules.setdefault((group.tag, rule), set()).add(name)
    for name in rules.pop(("actions", "execute"), ()):
        for kind, rule in (("services", "reply"), ("topics", "publish")):
            rules[kind, rule] |= {f"{name}/_action/{part}" for part in ACTION[kind]}
    return rules


def test_the_policy_is_of_the_form_that_sros2_reads() -> None:
    root = ElementTree.parse(POLICY).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    forms = {
        "topics": ("topic", {"publish", "subscribe"}),
        "services": ("service", {"reply", "request"}),
        "actions": ("action", {"call", "execute"}),
    }
    profiles = root.findall("contexts/context[@path]/profiles/profile[@ns][@node]")
    assert len(profiles) == len(root.findall(".//profile")) == 2
    for group in (group for profile in profiles for group in profile):
        item, rules = forms[group.tag]
        assert set(group.attrib) <= rules and group.attrib
        assert [each.tag for each in group] == [item] * len(group) and len(group)


def test_a_planner_may_only_ask() -> None:
    node, planner = allowed("/pointsam"), allowed("/planner")
    assert planner["actions", "call"] == {"/pointsam/propose_instances"}
    assert planner["topics", "subscribe"] <= node["topics", "publish"] | {"/clock"}
    assert planner["services", "request"] == {
        "/pointsam/segment_prompts",
        "/pointsam/edit_session",
        "/pointsam/release_objects",
    }


@pytest.fixture
def client(own_client: Client) -> Client:
    return own_client


@pytest.mark.dds
def test_the_policy_allows_what_the_node_offers_and_hears_and_nothing_else(
    client: Client, fork: Fork
) -> None:
    missing = [names for package, names in NEED.items() if not importlib.util.find_spec(package)]
    fork(use_sim_time=True)
    wanted = {rule: names.difference(*missing) for rule, names in allowed("/pointsam").items()}
    seen: dict[tuple[str, str], set[str]] = {}

    def is_as_allowed() -> bool:
        graph = client.node
        if "pointsam" not in graph.get_node_names():  # its services may be known before it is
            return False
        for rule, ask in (
            (("topics", "publish"), graph.get_publisher_names_and_types_by_node),
            (("topics", "subscribe"), graph.get_subscriber_names_and_types_by_node),
            (("services", "reply"), graph.get_service_names_and_types_by_node),
            (("services", "request"), graph.get_client_names_and_types_by_node),
        ):
            seen[rule] = {name for name, _ in ask("pointsam", "/")}
        return all(names == wanted.get(rule, set()) for rule, names in seen.items())

    try:
        client.wait_until_ready()
        client.wait_for(is_as_allowed, "graph as the policy allows it")
    except AssertionError:
        for rule, names in seen.items():
            assert names == wanted.get(rule, set()), rule
        raise


# No message names a file.


def plant(message: Any, text: str) -> int:
    """Puts a text into every string of a message, at whatever depth; how many there are."""
    planted = 0
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if kind == "string":
            setattr(message, name, text)
            planted += 1
        elif isinstance(value, list):
            planted += sum(plant(item, text) for item in value if _is_message(item))
        elif _is_message(value):
            planted += plant(value, text)
    return planted


def _is_message(value: Any) -> bool:
    return hasattr(value, "get_fields_and_field_types")


def tell_all(audit: Path) -> None:
    """Has Python write down every file that is opened and every process that is started."""
    told = audit.open("w", buffering=1)
    sys.addaudithook(lambda event, args: print(event, args, file=told))


@pytest.mark.dds
def test_a_file_that_a_message_names_is_never_touched(
    client: Client, fork: Fork, tmp_path: Path
) -> None:
    audit, target = tmp_path / "audit", tmp_path / "planted"
    target.write_text("secret")
    node = fork(prepare=partial(tell_all, audit))
    client.wait_until_ready()
    request = SegmentPrompts.Request(cloud=client.cloud(XYZ))
    request.points = [PointStamped().point]
    goal = ProposeInstances.Goal(cloud=client.cloud(XYZ))
    cloud, click = client.cloud(XYZ), PointStamped()
    assert plant(request, str(target)) >= 6
    assert plant(goal, str(target)) >= 4 and plant(cloud, str(target)) and plant(click, str(target))
    assert client.call(client.pointsam.prompts, request).code == Code.BAD_CLOUD
    one_name = SegmentPrompts.Request(cloud=client.cloud(XYZ), session=str(target))
    one_name.header.frame_id = one_name.cloud.header.frame_id = str(target)
    one_name.points = request.points
    assert client.call(client.pointsam.prompts, one_name).code == Code.TOO_FAR
    assert not client.outcome(client.propose(cloud=goal.cloud, header=goal.header))[1].success
    client.publish(cloud)
    client.click(XYZ[0], frame=str(target))
    client.diagnostics(lambda _, values: int(values["clicks refused"]) > 0)
    for parameter in ("model__checkpoint", "model__preset"):
        (reason,) = client.set(**{parameter: str(target)})
        assert "read-only" in reason
    assert node.end() == 0
    told = audit.read_text()
    assert "weights.safetensors" in told, "the hooks tell of files"
    assert str(target) not in told


# Sizes.


@pytest.mark.dds
def test_what_is_too_large_is_refused_by_the_limit_it_passes(client: Client, fork: Fork) -> None:
    node = fork(limits__max_bytes=50_000)
    client.wait_until_ready()
    refused, point = client.check_refused, [XYZ[0]]
    padded = client.cloud(XYZ[:9])
    padded.row_step = 100_000
    padded.data = bytes(100_000)
    refused(Code.BAD_CLOUD, r"100000 bytes of data.*limits\.max_bytes", point, cloud=padded)
    _, result = client.outcome(client.propose(cloud=padded))
    assert result.code == Code.BAD_CLOUD and "limits.max_bytes" in result.message
    fields = client.cloud(XYZ[:9])
    fields.fields = [*fields.fields, *(_field(f"f{index}") for index in range(300))]
    refused(Code.BAD_CLOUD, r"303 fields.*limits\.max_fields", point, cloud=fields)
    fields.fields = [*fields.fields[:3], _field("f" * 300)]
    refused(Code.BAD_CLOUD, r"300 characters.*limits\.max_name_length", point, cloud=fields)
    refused(Code.BAD_REQUEST, r"session has 300.*limits\.max_name_length", point, session="s" * 300)
    refused(Code.BAD_REQUEST, r"frame_id has 300", point, header=Header(frame_id="f" * 300))
    refused(Code.BAD_REQUEST, r"257 clicks.*limits\.max_prompts", [XYZ[0]] * 257)
    refused(Code.BAD_REQUEST, "1000000 values for 1 points", point, object_ids=[1] * 1_000_000)
    _, result = client.outcome(client.propose(max_instances=2**31))
    assert result.code == Code.BAD_REQUEST and "max_instances" in result.message
    client.publish(padded)
    client.diagnostics(lambda _, values: "limits.max_bytes" in values["last refused cloud"])
    assert client.ask(point, cloud=client.cloud(XYZ)).code == Code.OK
    assert node.end() == 0


def _field(name: str) -> PointField:
    return PointField(name=name, offset=0, datatype=PointField.UINT8, count=1)
