"""The ament_python package `pointsam_ros`; it installs `pointsam_model` too."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "pointsam_ros"

RUNTIME = [
    "torch>=2.2",  # the network; the user chooses the build (CPU or a CUDA version)
    "numpy>=1.23",  # arrays everywhere; 1.26 is what the rclpy of Jazzy is built against
    "scipy>=1.10",  # KD-tree: nearest neighbours on the CPU
    "fpsample>=1.0.2",  # farthest point sampling on the CPU
    "safetensors>=0.4",  # checkpoints, memory-mapped and without pickles
    "plyfile>=1.0",  # reads .ply
    "python-neo-lzf>=0.3",  # decompresses binary_compressed .pcd
    "pyyaml>=6.0",  # config/*.yaml
    "matplotlib>=3.7",  # pictures of the demonstration
    "rich>=13.0",  # tables and progress on the terminal
    "typer>=0.12",  # the command `pointsam`
    "rosbags>=0.10",  # PointCloud2 messages of ROS 2 and ROS 1
    "mcap>=1.2",  # the records of .mcap recordings
    "zstandard>=0.22",  # decompresses recordings
    "lz4>=4.0",  # decompresses recordings
]

EVALUATION = [
    'open3d>=0.18; python_version < "3.13"',  # the classical pipeline beside ours
]

FOXGLOVE = [
    "mcap-protobuf-support>=0.5",  # foxglove.PointCloud as protobuf, in .mcap recordings
]

DEV = [
    *FOXGLOVE,
    "pytest>=8",  # the tests
    "pytest-xdist>=3.7",  # in several processes
    "hypothesis>=6.100",  # property tests
    "ruff>=0.15",  # lint and format
    "mypy>=1.18",  # types
    "types-PyYAML>=6.0",  # types of pyyaml
    'open3d>=0.18; python_version < "3.13"',  # boxes are compared with its smallest ones
    'cuda-bindings>=12.8,<13; sys_platform == "linux"',  # NVRTC from Python: kernels compile
    'nvidia-cuda-nvrtc-cu12>=12.8,<13; sys_platform == "linux"',  # NVRTC, which needs no GPU
]


def _files(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).iterdir() if path.is_file())


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Point-SAM on ROS 2: promptable segmentation of point clouds, answered from one "
    "embedding of each cloud",
    author="pointsam_ros maintainers",
    author_email="maintainers@pointsam-ros.org",
    maintainer="pointsam_ros maintainers",
    maintainer_email="maintainers@pointsam-ros.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(
        include=["pointsam_model", "pointsam_model.*", "pointsam_ros", "pointsam_ros.*"]
    ),
    package_data={
        "pointsam_model": ["weights/*.safetensors", "weights/*.json", "ops/kernels/*.cu"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", _files("launch")),
        (f"share/{PACKAGE}/config", _files("config")),
        (f"share/{PACKAGE}/config/sros2", _files("config/sros2")),
    ],
    install_requires=RUNTIME,
    extras_require={
        "dev": DEV,
        "foxglove": FOXGLOVE,
        "evaluation": EVALUATION,  # `pointsam evaluate` with its baseline
        "cuda12": ["cupy-cuda12x>=13.0"],  # CUDA kernels, for drivers of CUDA 12
        "cuda13": ["cupy-cuda13x>=13.6"],  # CUDA kernels, for drivers of CUDA 13
    },
    entry_points={
        "console_scripts": [
            "segment_node = pointsam_ros.segment_node:main",
            "segment_cameras = pointsam_ros.segment_cameras:main",
            "pointsam = pointsam_model.cli.app:app",
        ],
    },
    zip_safe=False,
)
