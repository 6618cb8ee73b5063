"""Typed settings of the node, from which ROS parameters and `config/segment.yaml` are generated.

`python -m pointsam_ros.config` prints the YAML file.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsam_model.config.building import setting, settings
from pointsam_model.config.settings import (
    PredictorConfig,
    ProposalConfig,
    ReductionConfig,
    TrackingConfig,
)


@dataclass(frozen=True)
class ModelSettings:
    """The network, its weights, and where it runs."""

    preset: str = setting("tiny", "tiny, large, giant, or a path to a model config (.json)")
    checkpoint: str = setting(
        "", "path to the weights (.safetensors); empty: the shipped ones (tiny only)"
    )
    device: str = setting("auto", "auto, cpu, cuda or cuda:N; auto: a GPU if there is one")
    dtype: str = setting(
        "float32", "precision of the network", choices=("float32", "bfloat16", "float16")
    )
    cuda_graphs: bool = setting(
        True,
        "on a GPU, launch a click or an embedding as one CUDA graph, captured the first time a"
        " size occurs; false: kernel by kernel",
    )


@dataclass(frozen=True)
class CloudSettings:
    """Where the sensor is, which clouds are kept, and which one a request without a stamp gets."""

    sensor_frame: str = setting(
        "",
        "coordinate frame of the sensor, if its clouds are published in another frame"
        " (base_link, odom, map): its position then comes from tf2, and first clicks are better."
        " Empty: the position is inferred from the cloud where possible; leave it empty if"
        " clouds of several sensors are merged",
    )

    retain: int = setting(
        20,
        "clouds kept for requests by stamp and for sessions; the oldest is dropped",
        low=1,
        high=1000,
    )
    max_age_s: float = setting(
        3.0,
        "a request without a stamp gets the newest embedded cloud if it is younger than this, else"
        " the newest cloud is embedded first [s]",
        low=0.0,
        high=1e6,
    )
    stale_s: float = setting(
        10.0,
        "a request without a stamp is refused when even the newest cloud is older [s]; 0: never",
        low=0.0,
        high=1e9,
    )
    stamp_tolerance_s: float = setting(
        0.005,
        "greatest difference between a request's stamp and its cloud's [s]",
        low=0.0,
        high=10.0,
    )


@dataclass(frozen=True)
class EmbedSettings:
    """When clouds are embedded."""

    mode: str = setting(
        "latest",
        "latest: the newest cloud, while no request waits; on_prompt: only when a request needs it",
        choices=("latest", "on_prompt"),
    )
    max_rate_hz: float = setting(
        2.0,
        "most clouds embedded per second in mode latest, and while objects are followed [Hz]",
        low=0.001,
        high=1000.0,
    )
    max_memory_mib: int = setting(
        2048,
        "device memory for embeddings [MiB]; the least recently used are dropped, and their"
        " clouds embedded again when needed",
        low=1,
        high=1_000_000,
    )


@dataclass(frozen=True)
class SessionSettings:
    """Requests that build on each other."""

    max: int = setting(16, "sessions kept; the least recently used is dropped", low=1, high=10_000)


@dataclass(frozen=True)
class ProposalSettings(ProposalConfig):
    """Proposals: how they are made, and when."""

    rate_hz: float = setting(
        0.0,
        "greatest rate at which proposals of the newest cloud are published while there is a"
        " subscriber [Hz]; 0: only on request",
        low=0.0,
        high=100.0,
    )
    when_busy: str = setting(
        "wait",
        "what happens to a goal while another is running: it waits, or is refused",
        choices=("wait", "refuse"),
    )


@dataclass(frozen=True)
class TrackingSettings(TrackingConfig):
    """Persistent ids, and following objects."""

    frame: str = setting(
        "",
        "fixed coordinate frame in tf2 in which objects are tracked, so that a moving camera"
        " does not lose them (odom, map); empty: the cloud's own frame is fixed. When it is"
        " changed, all followed objects are lost",
    )
    max_followed: int = setting(
        16, "prompted objects followed at once; more are refused", low=1, high=1000
    )


@dataclass(frozen=True)
class LimitSettings:
    """Limits beyond which something is refused."""

    max_points: int = setting(
        5_000_000, "points of a cloud, width * height; larger clouds are refused", low=3, high=2**31
    )
    max_bytes: int = setting(
        512 * 2**20, "bytes of a cloud's data, padding included", low=1, high=2**40
    )
    max_fields: int = setting(256, "fields of a cloud's points", low=3, high=65_536)
    max_name_length: int = setting(
        256, "characters in the name of a session, a frame or a field", low=1, high=65_536
    )
    max_prompts: int = setting(
        256, "clicks of a request, and of an object in a session", low=1, high=100_000
    )
    max_pending: int = setting(16, "requests that may wait, and as many goals", low=1, high=10_000)


@dataclass(frozen=True)
class TransformSettings:
    """Clicks in a coordinate frame other than the cloud's."""

    timeout_s: float = setting(
        0.1, "longest wait for a transform that has not arrived yet [s]", low=0.0, high=10.0
    )


@dataclass(frozen=True)
class QosSettings:
    """Quality of service of a subscription."""

    reliability: str = setting(
        "best_effort",
        "best_effort works with every publisher; reliable loses nothing but needs a reliable"
        " publisher",
        choices=("best_effort", "reliable"),
    )
    depth: int = setting(
        5,
        "clouds the middleware queues for the node, which takes none while it down-samples"
        " another on a CPU (about 0.1 s)",
        low=1,
        high=99,
    )
    durability: str = setting(
        "auto",
        "transient_local also gets clouds that were published before the node started, from a"
        " publisher that keeps them (latched), and is always reliable; volatile never does; auto"
        " becomes transient_local where no cloud comes and every publisher keeps its own",
        choices=("auto", "volatile", "transient_local"),
    )


@dataclass(frozen=True)
class PointsSettings:
    """The subscription to clouds."""

    qos: QosSettings = QosSettings()


@dataclass(frozen=True)
class OutputQosSettings:
    """Quality of service of what is published."""

    reliability: str = setting(
        "reliable",
        "reliable works with every subscriber; best_effort only with best-effort ones, but"
        " waits for none",
        choices=("best_effort", "reliable"),
    )
    depth: int = setting(5, "messages kept for a slow subscriber", low=1, high=99)


@dataclass(frozen=True)
class OutputSettings:
    """The topics on which answers are published."""

    qos: OutputQosSettings = OutputQosSettings()


@dataclass(frozen=True)
class DiagnosticsSettings:
    """When the node warns on /diagnostics."""

    max_latency_ms: float = setting(
        0.0,
        "warns when one request in a hundred takes longer than this [ms]; 0: never",
        low=0.0,
        high=1e9,
    )
    max_cloud_age_s: float = setting(
        0.0,
        "warns when the newest cloud is older than this, or none has arrived [s]; 0: only when"
        " it is older than clouds.stale_s, at which requests are refused",
        low=0.0,
        high=1e9,
    )
    max_missing_share: float = setting(
        0.1,
        "warns when a larger share of a steady sensor's clouds is missing, judging by gaps in"
        " their stamps; 1: never",
        low=0.0,
        high=1.0,
    )
    error_factor: float = setting(
        5.0,
        "exceeding one of these limits by this factor is an ERROR, not a WARN",
        low=1.0,
        high=1e9,
    )


@dataclass(frozen=True)
class NodeConfig:
    """All settings of the node; their dotted names are the ROS parameters."""

    autostart: bool = setting(
        True, "configure and activate by itself; false: a lifecycle manager does it"
    )
    model: ModelSettings = ModelSettings()
    reduction: ReductionConfig = field(default_factory=ReductionConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    points: PointsSettings = PointsSettings()
    outputs: OutputSettings = OutputSettings()
    clouds: CloudSettings = CloudSettings()
    embed: EmbedSettings = EmbedSettings()
    sessions: SessionSettings = SessionSettings()
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    limits: LimitSettings = LimitSettings()
    transforms: TransformSettings = TransformSettings()
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()


LIVE_SECTIONS = (
    "clouds",
    "embed",
    "sessions",
    "proposals",
    "tracking",
    "limits",
    "transforms",
    "diagnostics",
)


def is_live(name: str) -> bool:
    """Whether the setting may change while the node runs; the others are read at start."""
    return name.split(".")[0] in LIVE_SECTIONS


def range_of(default: Any, metadata: Mapping[str, Any]) -> str:
    """The values a setting allows, for people: `0 to 7`, `a or b`, or empty if unrestricted."""
    if metadata["choices"]:
        return " or ".join(metadata["choices"])
    if metadata["low"] is not None or metadata["high"] is not None:
        low, high = (f"{bound:g}" if isinstance(bound, float) else str(bound)
                     for bound in (metadata["low"], metadata["high"]))  # fmt: skip
        return f"{low} to {high}"
    if metadata["lengths"]:
        return " or ".join(str(length) for length in metadata["lengths"]) + " numbers"
    return "true or false" if isinstance(default, bool) else ""


def as_yaml(config: NodeConfig) -> str:
    """The ROS parameter file of `config`: every setting with its description and range."""
    lines = [
        "# Parameters of the node pointsam, at their defaults.",
        "# Generated by `python -m pointsam_ros.config`; a test keeps it equal to the code.",
        "/**:",
        "  ros__parameters:",
    ]
    return "\n".join([*lines, *_yaml_lines(config)]) + "\n"


def _yaml_lines(config: NodeConfig) -> Iterator[str]:
    open_sections: list[str] = []
    for name, value, metadata in settings(config):
        *sections, leaf = name.split(".")
        for depth, section in enumerate(sections):
            if open_sections[: depth + 1] != sections[: depth + 1]:
                yield f"{_indent(depth)}{section}:"
        open_sections = sections
        indent = _indent(len(sections))
        comment = metadata["description"]
        if allowed := range_of(value, metadata):
            comment += f" ({allowed})"
        for line in textwrap.wrap(comment, 98 - len(indent)):
            yield f"{indent}# {line}"
        yield f"{indent}{leaf}: {yaml_value(value)}"


def _indent(depth: int) -> str:
    return "  " * (depth + 2)


def yaml_value(value: Any) -> str:
    """A setting's value as written in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(repr(float(item)) for item in value)}]"
    return repr(value)


if __name__ == "__main__":
    print(as_yaml(NodeConfig()), end="")
