"""The one description of the package, for pip and for colcon (ament_python)."""

from __future__ import annotations

import ast
from pathlib import Path

from setuptools import setup

NAME = "fetch_sim2real"
ROOT = Path(__file__).resolve().parent

# Listed by hand: find_packages() would also take launch/ (which would shadow ROS's `launch`), tests and config.
PACKAGES = [
    "fetch_sim2real",
    "fetch_sim2real.api",
    "fetch_sim2real.arm",
    "fetch_sim2real.arm.fetch",
    "fetch_sim2real.bags",
    "fetch_sim2real.bags.export",
    "fetch_sim2real.calibration",
    "fetch_sim2real.cli",
    "fetch_sim2real.common",
    "fetch_sim2real.control",
    "fetch_sim2real.envs",
    "fetch_sim2real.evaluation",
    "fetch_sim2real.messages",
    "fetch_sim2real.operation",
    "fetch_sim2real.perception",
    "fetch_sim2real.policy",
    "fetch_sim2real.reports",
    "fetch_sim2real.ros",
    "fetch_sim2real.ros.bag_player",
    "fetch_sim2real.ros.operate",
    "fetch_sim2real.ros.recorder",
    "fetch_sim2real.ros.scene_publisher",
    "fetch_sim2real.ros.simulated_runs",
    "fetch_sim2real.ros.view",
    "fetch_sim2real.rosbridge",
    "fetch_sim2real.sim",
    "fetch_sim2real.sim.disturbances",
    "fetch_sim2real.sim.drake",
    "fetch_sim2real.sim.mujoco",
    "fetch_sim2real.sim.randomization",
    "fetch_sim2real.sim.sensors",
    "fetch_sim2real.stack",
    "fetch_sim2real.tasks",
    "fetch_sim2real.training",
    "policy_node",
    "camera_node",
    "arm_driver",
    "sim_bridge",
]
NODES = {
    **{name: f"{name}.main" for name in ("policy_node", "camera_node", "arm_driver", "sim_bridge")},
    **{name: f"fetch_sim2real.ros.{name}.main" for name in ("recorder", "bag_player", "scene_publisher")},
}

# Why each is needed: docs/dependencies.md.
CORE = [
    "numpy>=1.26,<3",
    "mujoco>=3.12,<3.13",
    "mink>=1.3,<2",
    "scipy>=1.11,<2",
    "daqp>=0.7,<1",
    "gymnasium>=1.2,<2",
    "gymnasium-robotics>=1.4.2,<1.5",
    "pydantic>=2.7,<3",
    "pyyaml>=6,<7",
    "safetensors>=0.4.3,<1",
    "torch>=2.2,<3",
    "opencv-python-headless>=4.8,<6",
    "typer>=0.12,<1",
    "rich>=13.8,<16",
    "rosbags>=0.11,<0.12",
    "backports-zstd>=1,<2",
    "packaging>=22",
]
RAY = "ray>=2.52,<3"
REALSENSE = "pyrealsense2>=2.55,<3"
ONNX = ["onnx>=1.16,<2", "onnxruntime>=1.18,<2"]
FOXGLOVE = "foxglove-sdk>=0.30,<0.31"  # below 1.0 any minor version may change its interface
PARQUET = "pyarrow>=15,<27"
ROSBRIDGE = ["roslibpy>=2.0,<3", "websockets>=13,<18"]
EXTRAS = {
    # ROS 2 Jazzy from PyPI, for machines without an apt ROS. Never beside one.
    "ros-wheels": [
        "ros-jazzy-rclpy==7.1.6",
        "ros-jazzy-rmw-fastrtps-cpp==8.4.3",
        "ros-jazzy-sensor-msgs==5.3.6",
        "ros-jazzy-trajectory-msgs==5.3.6",
        "ros-jazzy-geometry-msgs==5.3.6",
        "ros-jazzy-nav-msgs==5.3.6",
        "ros-jazzy-diagnostic-msgs==5.3.6",
        "ros-jazzy-std-msgs==5.3.6",
        "ros-jazzy-std-srvs==5.3.6",
        "ros-jazzy-rosgraph-msgs==2.0.3",
        "ros-jazzy-visualization-msgs==5.3.6",
        "ros-jazzy-lifecycle-msgs==2.0.3",
    ],
    "train": ["matplotlib>=3.8,<4", "tensorboardX>=2.6.2,<3"],
    "baselines": ["sb3-contrib>=2.7,<3"],
    "ray": [RAY],
    "drake": ["drake>=1.51,<2"],
    "realsense": [REALSENSE],
    "rosbridge": ROSBRIDGE,
    "onnx": ONNX,
    "foxglove": [FOXGLOVE],
    "parquet": [PARQUET],
    # In an environment of its own: its bounds on torch, OpenCV and others are narrower than ours.
    "lerobot": [
        "lerobot>=0.4.4,<0.5; python_version < '3.12'",
        "lerobot[dataset]>=0.6.1,<0.7; python_version >= '3.12'",
    ],
    "viz": ["imageio-ffmpeg>=0.5,<1"],
    "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.29,<2"],
    "test": [
        "pytest>=8,<9",  # launch_testing, part of an apt ROS, breaks pytest 9
        "pytest-timeout>=2.3,<3",
        "pytest-xdist>=3.6,<4",
        "pytest-rerunfailures>=14,<17",
        "hypothesis>=6.100,<7",
        "psutil>=5.9,<8",
        "stable-baselines3>=2.7,<3",
        RAY,
        "mcap-ros2-support>=0.5.5,<1",
        "ruff>=0.12,<1",
        "mypy>=1.11,<3",
        "nbclient>=0.10,<1",
        "ipykernel>=6.29,<8",
        "colcon-bash>=0.5,<0.6",
        "colcon-ros>=0.5,<0.6",
        "colcon-package-information>=0.4,<0.5",
        # For software devices in place of cameras. Other machines may have no wheel; they skip those tests.
        f"{REALSENSE}; platform_machine == 'x86_64'",
        PARQUET,
        *ROSBRIDGE,
        *ONNX,
        FOXGLOVE,
    ],
}


def version() -> str:
    """Read ``__version__`` from the package without importing it: nothing is installed yet."""
    tree = ast.parse((ROOT / NAME / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__version__":
            return str(ast.literal_eval(node.value))
    raise RuntimeError(f"{NAME}/__init__.py has no __version__")


def share_files() -> list[tuple[str, list[str]]]:
    """Files for ``<prefix>/share/fetch_sim2real``: where ROS looks, and where ``fetch_sim2real.paths`` finds them."""
    share = f"share/{NAME}"
    files: dict[str, list[str]] = {
        "share/ament_index/resource_index/packages": [f"resource/{NAME}"],
        share: ["package.xml"],
    }
    for folder, pattern in (("launch", "*.py"), ("config", "*"), ("policies", "*")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            relative = path.relative_to(ROOT)
            if path.is_file() and not any(part.startswith((".", "__")) for part in relative.parts):
                files.setdefault(f"{share}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return list(files.items())


setup(
    name="fetch-sim2real",
    version=version(),
    description="Closed-loop RGB-D policies for the Fetch arm on ROS 2, trained and checked in MuJoCo",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=PACKAGES,
    package_data={
        NAME: ["py.typed", "worlds/*.yaml", "worlds/textures/*.png", "suites/*.yaml"],
        f"{NAME}.ros.view": ["page.html"],
    },
    data_files=share_files(),
    install_requires=CORE,
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "fetch-sim2real = fetch_sim2real.cli.main:app",
            *(f"{name} = {module}:main" for name, module in NODES.items()),
        ],
    },
)
