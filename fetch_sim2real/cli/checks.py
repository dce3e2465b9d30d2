"""What a machine needs to run the stack, one small check each. Checks look; they change nothing."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from packaging.requirements import Requirement

from fetch_sim2real import __version__, graph, paths
from fetch_sim2real.cli import probes
from fetch_sim2real.stack.ros_environment import (
    MIDDLEWARE,
    MIDDLEWARE_VARIABLE,
    Judgement,
    judge_log_folder,
    judge_middleware,
    ros_judgements,
)

Status = Literal["ok", "missing", "optional"]

DISTRIBUTION: Final = "fetch-sim2real"
PYTHON_VERSIONS: Final = ((3, 10), (3, 11), (3, 12))
SERVICE_TYPES: Final = ("std_srvs/srv/Trigger",)
NEEDED_DISK_GB: Final = 1.0
ADVISED_DISK_GB: Final = 10.0  # RGB-D at 640x480 and 30 Hz is 46 MB/s: less than four minutes of recording
ADVISED_CORES: Final = 2

# Where a distribution's module has another name.
_MODULES: Final = {"opencv-python-headless": "cv2", "pyyaml": "yaml", "gymnasium-robotics": "gymnasium_robotics"}


@dataclass(frozen=True)
class Check:
    """One line of the report. ``remedy`` is the command, or the sentence, that helps; empty if nothing is to be done.

    ``missing`` means that the stack does not run rightly without it; ``optional`` that only a part of it needs it.
    """

    group: str
    name: str
    status: Status
    found: str
    remedy: str = ""


def set_up_again(extra: str = "") -> str:
    """Return the command that installs the Python packages, of ``extra`` too, into the environment in use."""
    root = paths.clone_root()
    if root is None:
        return f"{sys.executable} -m pip install '{DISTRIBUTION}{f'[{extra}]' if extra else ''}'"
    if extra:
        return f"{sys.executable} -m pip install -e '{root}[{extra}]'"
    return f"make -C {root} venv"


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> list[Check]:
    """Check that the interpreter is one of those that all packages have wheels for."""
    supported = version in PYTHON_VERSIONS
    known = ", ".join(f"{major}.{minor}" for major, minor in PYTHON_VERSIONS)
    remedy = "" if supported else f"install one of Python {known}, then: make venv PYTHON=python3.12"
    found = f"{version[0]}.{version[1]} ({sys.executable})"
    return [Check("Python", "Python", "ok" if supported else "missing", found, remedy)]


def check_packages() -> list[Check]:
    """Check that this project and the packages it requires are installed, in versions that it accepts."""
    try:
        installed = importlib.metadata.version(DISTRIBUTION)
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [Check("Python", DISTRIBUTION, "missing", "not installed in this Python environment", set_up_again())]
    agrees = installed == __version__
    found = installed if agrees else f"{installed} is installed, {__version__} is imported from {paths.__file__}"
    own = Check("Python", DISTRIBUTION, "ok" if agrees else "missing", found, "" if agrees else set_up_again())
    core = [r for r in map(Requirement, requirements) if r.marker is None or r.marker.evaluate({"extra": ""})]
    return [own, *map(_check_requirement, core)]


def library_versions() -> dict[str, str]:
    """Return the installed version of each package that this one always needs; nothing where it is not installed."""
    try:
        requirements = map(Requirement, importlib.metadata.requires(DISTRIBUTION) or [])
    except importlib.metadata.PackageNotFoundError:
        return {}
    versions = {}
    for name in sorted(each.name for each in requirements if each.marker is None):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "unknown"
    return versions


def _check_requirement(requirement: Requirement) -> Check:
    module = _MODULES.get(requirement.name.lower(), requirement.name.replace("-", "_"))
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        # Debian's OpenCV, for one, comes without the metadata of a distribution.
        if importlib.util.find_spec(module) is not None:
            return Check("Python", requirement.name, "ok", "importable, version unknown")
        return Check("Python", requirement.name, "missing", f"not installed, needed {requirement}", set_up_again())
    if not requirement.specifier.contains(version, prereleases=True):
        return Check("Python", requirement.name, "missing", f"{version}, needed {requirement}", set_up_again())
    return Check("Python", requirement.name, "ok", version)


def check_ros() -> list[Check]:
    """Check that rclpy and every message and service type of the graph can be loaded, and that the middleware is
    Fast DDS.
    """
    types = sorted({topic.type for topic in graph.CONTRACT} | set(SERVICE_TYPES))
    # One that is not installed ends whatever imports rclpy; check_transport tells of it.
    asked = judge_middleware(os.environ)
    without = {MIDDLEWARE_VARIABLE: ""} if asked.fault and asked.grave else None
    result = probes.run_probe(probes.ROS, types, without)
    if result.error is not None:
        remedy = f"source /opt/ros/jazzy/setup.bash, or without an apt ROS: {set_up_again('ros-wheels')}"
        return [Check("ROS 2", "rclpy, messages", "missing", result.error, remedy)]
    middleware = result.values["rmw"]
    fast_dds = middleware == MIDDLEWARE
    return [
        Check("ROS 2", "rclpy, messages", "ok", f"{len(types)} types, {Path(result.values['path']).parent}"),
        Check(
            "ROS 2",
            "middleware",
            "ok" if fast_dds else "missing",
            middleware if fast_dds else f"{middleware}: images are only known to arrive with {MIDDLEWARE}",
            "" if fast_dds else f"export {MIDDLEWARE_VARIABLE}={MIDDLEWARE}",
        ),
    ]


def check_transport(environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Check the transport setting that lets images through, and that no variable keeps ROS from working."""
    name, wanted = graph.FASTDDS_TRANSPORT_VARIABLE, graph.FASTDDS_TRANSPORT
    export = f"export {name}='{wanted}'"
    value = environment.get(name)
    if value is None:
        # The stack sets it for its own processes; a viewer started in this shell would get no images.
        found = "unset: the stack sets it for its own processes, not for others"
        transport = Check("ROS 2", name, "optional", found, export)
    elif value != wanted:
        transport = Check("ROS 2", name, "missing", f"'{value}': images may be lost", export)
    else:
        transport = Check("ROS 2", name, "ok", value)
    judged = [*ros_judgements(environment), judge_log_folder(environment)]
    return [transport, *map(_check_of, judged)]


def _check_of(judgement: Judgement) -> Check:
    value = judgement.value or "unset"
    if not judgement.fault:
        return Check("ROS 2", judgement.variable, "ok", value)
    status: Status = "missing" if judgement.grave else "optional"
    return Check("ROS 2", judgement.variable, status, f"{value}: {judgement.fault}", judgement.remedy)


def check_graphics(load: Callable[[str], object] = ctypes.CDLL) -> list[Check]:
    """Check that OpenGL libraries are there, and that MuJoCo renders an image."""
    checks = []
    for library, package in (("libEGL.so.1", "libegl1"), ("libGL.so.1", "libgl1")):
        try:
            load(library)
            checks.append(Check("Graphics", library, "ok", "loads"))
        except OSError as error:
            checks.append(Check("Graphics", library, "missing", str(error), f"sudo apt-get install -y {package}"))
    return [*checks, _check_rendering()]


def _check_rendering() -> Check:
    name = "rendering"
    result = probes.run_probe(probes.RENDERING)
    remedy = "sudo apt-get install -y libegl1 libgl1 libgl1-mesa-dri && unset MUJOCO_GL"
    if result.error is not None:
        return Check("Graphics", name, "missing", result.error, remedy)
    centre, corner = result.values["centre"], result.values["corner"]
    if not (centre[0] > 200 and max(centre[1:]) < 100 and max(corner) < 50):
        found = f"a red ball on black came out with {centre} in the middle and {corner} in the corner"
        return Check("Graphics", name, "missing", found, remedy)
    found = f"{result.values['renderer']} by {result.values['platform']}, {result.values['render_ms']:.1f} ms"
    return Check("Graphics", name, "ok", found)


def check_drake() -> list[Check]:
    """Check that the second simulator, where it is installed, renders an image. Only ``--engine drake`` needs it."""
    result = probes.run_probe(probes.DRAKE)
    if result.error is not None:
        return [Check("Graphics", "drake", "optional", result.error, set_up_again("drake"))]
    centre, corner = result.values["centre"], result.values["corner"]
    if not (centre[0] > 200 and max(centre[1:]) < 100 and max(corner) < 50):
        found = f"a red ball on black came out with {centre} in the middle and {corner} in the corner"
        return [Check("Graphics", "drake", "optional", found, "sudo apt-get install -y libegl1 libgl1 libgl1-mesa-dri")]
    return [Check("Graphics", "drake", "ok", f"{result.values['version']}, renders")]


def check_realsense(load: Callable[[str], object] = ctypes.CDLL) -> list[Check]:
    """Check the camera's SDK and the library that it talks USB with. Only a camera on this machine needs them."""
    try:
        load("libusb-1.0.so.0")
        usb = Check("Camera", "libusb-1.0", "ok", "loads")
    except OSError as error:
        usb = Check("Camera", "libusb-1.0", "optional", str(error), "sudo apt-get install -y libusb-1.0-0")
    result = probes.run_probe(probes.REALSENSE)
    if result.error is not None:
        return [usb, Check("Camera", "pyrealsense2", "optional", result.error, set_up_again("realsense"))]
    devices = result.values["devices"]
    return [usb, Check("Camera", "pyrealsense2", "ok", ", ".join(devices) or "installed; no camera is connected")]


def check_terminal(encoding: str | None = None) -> list[Check]:
    """Check that output is UTF-8: anything else shows tables and names of files with replacements."""
    encoding = (sys.stdout.encoding if encoding is None else encoding) or "unknown"
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    status: Status = "ok" if is_utf8 else "optional"
    return [Check("Machine", "terminal", status, encoding, "" if is_utf8 else "export LANG=C.UTF-8")]


def check_machine(folder: Path | None = None, cores: int | None = None) -> list[Check]:
    """Free space where recordings and runs are written (the working folder), and processor cores."""
    folder = Path.cwd() if folder is None else folder
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    free_gb = shutil.disk_usage(folder).free / 1e9
    disk_status: Status = "ok" if free_gb >= ADVISED_DISK_GB else "optional" if free_gb >= NEEDED_DISK_GB else "missing"
    disk_remedy = "" if disk_status == "ok" else f"free at least {ADVISED_DISK_GB:.0f} GB before recording"
    enough = cores >= ADVISED_CORES
    return [
        Check("Machine", "disk", disk_status, f"{free_gb:.1f} GB free in {folder}", disk_remedy),
        Check(
            "Machine",
            "cores",
            "ok" if enough else "optional",
            f"{cores} ({platform.machine()})",
            "" if enough else "in real time the simulation may fall behind: use lockstep",
        ),
    ]
