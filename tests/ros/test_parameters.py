"""Parameters come from the typed settings: one default, one description, one range."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
import yaml
from domains import free_domain
from places import ROOT
from rclpy.context import Context
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from pointsam_model.config.building import settings
from pointsam_model.errors import ConfigError
from pointsam_ros.config import NodeConfig, as_yaml, is_live
from pointsam_ros.parameter_reference import as_markdown
from pointsam_ros.parameters import Parameters

SEGMENT_YAML = ROOT / "config" / "segment.yaml"
Make = Callable[..., tuple[Node, Parameters]]


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made, domain_id=free_domain())
    yield made
    rclpy.shutdown(context=made)


@pytest.fixture
def make(context: Context) -> Iterator[Make]:
    """Makes a node whose parameters are overridden as given on the command line."""
    nodes = []

    def make_one(overrides: dict[str, Any] | None = None, *arguments: str) -> Any:
        given = [Parameter(name, value=value) for name, value in (overrides or {}).items()]
        nodes.append(
            Node(
                "pointsam",
                context=context,
                parameter_overrides=given,
                cli_args=["--ros-args", *arguments] if arguments else None,
            )
        )
        return nodes[-1], Parameters(nodes[-1])

    yield make_one
    for node in nodes:
        node.destroy_node()


def test_how_clicks_are_answered_can_be_set() -> None:
    known = {name: value for name, value, _ in settings(NodeConfig())}
    assert known["predictor.geometry"] is True
    assert known["predictor.looks"] == "auto"
    text = SEGMENT_YAML.read_text()
    assert "    geometry: true" in text and '    looks: "auto"' in text


def test_the_parameter_file_is_the_settings() -> None:
    assert SEGMENT_YAML.read_text() == as_yaml(NodeConfig()), (
        "run: python -m pointsam_ros.config > config/segment.yaml"
    )


def test_the_reference_for_people_is_the_settings() -> None:
    text = (ROOT / "docs" / "parameters.md").read_text()
    assert text == as_markdown(NodeConfig()), (
        "run: python -m pointsam_ros.parameter_reference > docs/parameters.md"
    )
    for name, _, metadata in settings(NodeConfig()):
        (line,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert metadata["description"] in line
        assert f"| {'yes' if is_live(name) else 'no'} |" in line


def test_the_parameter_file_holds_every_setting_at_its_default() -> None:
    tree = yaml.safe_load(SEGMENT_YAML.read_text())["/**"]["ros__parameters"]
    for name, default, _ in settings(NodeConfig()):
        value = tree
        for part in name.split("."):
            value = value[part]
        assert (tuple(value) if isinstance(value, list) else value) == default, name


def test_a_node_reads_the_parameter_file_to_the_defaults(make: Make) -> None:
    _, parameters = make(None, "--params-file", str(SEGMENT_YAML))
    assert parameters.config == NodeConfig()


def test_every_setting_is_a_parameter_with_its_description_and_range(make: Make) -> None:
    node, _ = make()
    for name, default, metadata in settings(NodeConfig()):
        described = node.describe_parameter(name)
        assert described.description == metadata["description"]
        assert described.read_only != is_live(name)
        if type(default) in (int, float):
            (allowed,) = described.integer_range or described.floating_point_range
            assert (allowed.from_value, allowed.to_value) == (metadata["low"], metadata["high"])


def test_given_values_are_taken_and_a_whole_number_serves_for_a_real_one(make: Make) -> None:
    node, parameters = make(
        {
            "clouds.max_age_s": 3,
            "clouds.retain": 7.0,
            "embed.mode": "on_prompt",
            "reduction.crop_min_m": [-1.0, -2.0, 0.0],
            "predictor.snap_radius_m": 0.2,
        }
    )
    config = parameters.config
    assert config.clouds.max_age_s == 3.0 and type(config.clouds.max_age_s) is float
    assert config.embed.mode == "on_prompt"
    assert config.reduction.crop_min_m == (-1.0, -2.0, 0.0)
    assert config.predictor.snap_radius_m == 0.2
    assert node.get_parameter("clouds.max_age_s").value == 3.0
    assert config.clouds.retain == 7 and type(config.clouds.retain) is int


WRONG = [
    ("clouds.retain", 0, "clouds.retain is 0.*1 to 1000"),
    ("clouds.retain", 2.5, r"clouds\.retain is 2\.5.*whole number"),
    ("clouds.max_age_s", -1.0, r"clouds\.max_age_s is -1\.0.*0\.0 to"),
    ("clouds.max_age_s", "long", r"clouds\.max_age_s is 'long'.*a number"),
    ("embed.mode", "always", r"embed\.mode is 'always'.*latest or on_prompt"),
    ("embed.mode", 3, r"embed\.mode is 3.*text in quotes"),
    ("model.preset", True, r"model\.preset is True.*text in quotes"),
    ("embed.max_rate_hz", 0.0, r"embed\.max_rate_hz is 0\.0.*0\.001 to"),
    ("model.dtype", "float8", r"model\.dtype is 'float8'.*float32 or bfloat16"),
    ("points.qos.reliability", "sure", r"points\.qos\.reliability is 'sure'.*best_effort or"),
    ("autostart", "perhaps", r"autostart is 'perhaps'.*true or false"),
    ("autostart", 1, r"autostart is 1.*true or false"),
    ("limits.max_points", 2, r"limits\.max_points is 2.*3 to"),
    ("reduction.crop_min_m", [1.0, 2.0], r"reduction\.crop_min_m has 2 values.*0 or 3"),
    ("reduction.crop_min_m", 3.0, r"reduction\.crop_min_m is 3\.0.*list of numbers"),
    ("clouds.retain", math.inf, r"clouds\.retain is inf.*whole number"),
    ("clouds.stale_s", math.nan, r"clouds\.stale_s is nan.*0\.0 to"),
    ("predictor.snap_range_fraction", 1.5, r"snap_range_fraction is 1\.5.*0\.0 to 1\.0"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG)
def test_a_wrong_value_is_refused_at_start_with_name_value_and_range(
    make: Make, name: str, value: Any, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        make({name: value})


def test_a_live_parameter_takes_effect_at_once_and_only_within_its_range(make: Make) -> None:
    node, parameters = make()
    (result,) = node.set_parameters([Parameter("clouds.retain", value=5)])
    assert result.successful and parameters.config.clouds.retain == 5
    for name, wrong in (("clouds.retain", 0), ("embed.mode", "never"), ("clouds.max_age_s", "x")):
        (result,) = node.set_parameters([Parameter(name, value=wrong)])
        assert not result.successful and result.reason
    assert parameters.config.clouds.retain == 5
    assert parameters.config.embed.mode == "latest"


def test_a_whole_number_serves_for_a_real_one_while_the_node_runs_too(make: Make) -> None:
    node, parameters = make()
    for name, value in (("clouds.max_age_s", 4), ("clouds.retain", 6.0)):
        (result,) = node.set_parameters([Parameter(name, value=value)])
        assert result.successful, result.reason
    clouds = parameters.config.clouds
    assert (clouds.max_age_s, clouds.retain) == (4.0, 6)
    assert (type(clouds.max_age_s), type(clouds.retain)) == (float, int)
    (result,) = node.set_parameters([Parameter("clouds.retain", value=6.5)])
    assert not result.successful


def test_an_unknown_parameter_is_refused_by_its_name_while_the_node_runs(make: Make) -> None:
    node, parameters = make()
    with pytest.raises(ParameterNotDeclaredException, match=r"clouds\.retian"):
        node.set_parameters([Parameter("clouds.retian", value=3)])
    assert parameters.config == NodeConfig()


def test_a_parameter_that_is_read_at_start_is_read_only(make: Make) -> None:
    node, parameters = make()
    for name, value in (("model.preset", "large"), ("points.qos.depth", 9), ("autostart", False)):
        (result,) = node.set_parameters([Parameter(name, value=value)])
        assert not result.successful and "read-only" in result.reason
    assert parameters.config == NodeConfig()


@pytest.mark.parametrize("name", ["reduction.crop_min_m", "reduction.crop_max_m"])
def test_a_list_that_is_dumped_unset_is_unset(make: Make, name: str) -> None:
    _, parameters = make({name: "null"})
    assert parameters.config == NodeConfig()
