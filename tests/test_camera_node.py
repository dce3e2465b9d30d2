"""The camera node on the real RealSense SDK, with software devices and recordings in place of hardware."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from camera_scenes import away_from_edges, depth_m

from camera_node.faults import CameraError, Fault
from camera_node.profile import Profile
from camera_node.realsense_source import DeviceSource, RecordingSource
from camera_node.sdk import realsense
from camera_node.sdk_geometry import camera_model, distortion
from camera_node.session import CameraSession, State, Timing
from camera_node.software_device import SoftwareCamera, SoftwareSource, profile_of
from camera_node.source import CameraDescription, RawPair, TimeDomain
from fetch_sim2real import graph
from fetch_sim2real.errors import SetupError
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.processes import NodeProcess
from fetch_sim2real.timing import CONTROL_PERIOD_NS, CONTROL_PERIOD_S
from fetch_sim2real.types import RgbdFrame

rs = pytest.importorskip(
    "pyrealsense2", reason="the RealSense SDK or libusb is missing: make venv EXTRAS=realsense", exc_type=ImportError
)
pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).resolve().parents[1]
COLOR = CameraModel(424, 240, 307.0, 307.0, 213.0, 117.5)
DEPTH = CameraModel(424, 240, 215.0, 215.0, 211.0, 120.0)


def turned(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


# Where a D435 has its depth camera, turned further than any device's would be.
CAMERA = SoftwareCamera(COLOR, DEPTH, Pose(np.array([0.015, 0.0003, -0.0004]), turned(1.0)), depth_unit_m=0.0005)
RGB = np.random.default_rng(0).integers(0, 255, (240, 424, 3), dtype=np.uint8)
FLAT = np.full((240, 424), 2000, np.uint16)


def read_pair(source: SoftwareSource, rgb: np.ndarray = RGB, raw: np.ndarray = FLAT, **times: int) -> RawPair:
    """Feed the same pair until one comes out: the syncer needs the first to learn what there is."""
    for number in range(1, 10):
        source.feed(rgb, raw, number, 10**18 + number * CONTROL_PERIOD_NS, **times)
        pair = source.read(0.2)
        if pair is not None:
            return pair
    raise AssertionError("no pair")


@contextmanager
def opened(camera: SoftwareCamera) -> Iterator[tuple[SoftwareSource, CameraDescription]]:
    source = SoftwareSource(camera)
    try:
        yield source, source.open(reset=False)
    finally:
        source.close()


# ---- the SDK's geometry ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth_camera", [DEPTH, CameraModel(848, 480, 425.0, 425.0, 420.0, 241.0)])
def test_aligned_depth_is_true(depth_camera: CameraModel) -> None:
    camera = replace(CAMERA, depth=depth_camera)
    truth = depth_m(COLOR, Pose.identity())
    seen = depth_m(depth_camera, camera.color_T_depth)
    raw = np.round(seen / camera.depth_unit_m).astype(np.uint16)
    with opened(camera) as (source, description):
        pair = read_pair(source, raw=raw)
        assert description.depth_unit_m == pytest.approx(camera.depth_unit_m)
        assert pair.depth_mm.shape == truth.shape
        assert pair.depth_mm.dtype == np.uint16
        here = away_from_edges(truth, margin_px=6)
        is_valid = here & (pair.depth_mm > 0)
        assert is_valid.sum() > 0.97 * here.sum()
        error = np.abs(pair.depth_mm * 1e-3 - truth)[is_valid] / truth[is_valid]
        assert np.mean(error < 0.02) > 0.95, np.percentile(error, [50, 95, 99])
        # That the scene tells right from wrong: depth that is not aligned fails.
        if seen.shape == truth.shape:
            assert np.mean((np.abs(seen - truth) / truth)[is_valid] < 0.02) < 0.6


def test_colour_comes_through_unchanged_with_the_stamp_of_its_depth() -> None:
    with opened(CAMERA) as (source, _):
        pair = read_pair(source, mid_exposure_ns=4_000_000)
        assert np.array_equal(pair.rgb, RGB)
        assert pair.color.number == pair.depth.number
        assert pair.color.device_ns == pair.depth.device_ns
        assert pair.color.mid_exposure_ns == 4_000_000
        assert abs(time.time_ns() - pair.color.arrival_ns) < 10**9


@pytest.mark.parametrize(
    ("name", "model", "count"),
    [("none", "plumb_bob", 5), ("brown_conrady", "plumb_bob", 5), ("inverse_brown_conrady", "plumb_bob", 5)],
)
def test_intrinsics_are_the_devices(name: str, model: str, count: int) -> None:
    coefficients = (-0.05, 0.06, 0.001, -0.002, -0.02)
    with opened(replace(CAMERA, distortion=name, coefficients=coefficients)) as (_, description):
        for found, given in zip(vars(description.camera).values(), vars(COLOR).values(), strict=True):
            assert found == pytest.approx(given)
        assert description.distortion.model == model
        assert description.distortion.coefficients == pytest.approx((0.0,) * count if name == "none" else coefficients)


@pytest.mark.parametrize("name", ["none", "brown_conrady", "modified_brown_conrady", "inverse_brown_conrady"])
def test_camera_info_projects_as_the_sdk_does(name: str) -> None:
    intrinsics = rs.intrinsics()
    intrinsics.width, intrinsics.height = 640, 480
    intrinsics.fx, intrinsics.fy, intrinsics.ppx, intrinsics.ppy = 610.0, 608.0, 318.0, 243.0
    intrinsics.model = getattr(rs.distortion, name)
    intrinsics.coeffs = [-0.05, 0.06, 0.001, -0.002, -0.02]
    camera, lens = camera_model(intrinsics), distortion(intrinsics)
    k1, k2, p1, p2, k3 = lens.coefficients
    for x, y in ((0.0, 0.0), (0.3, -0.2), (-0.5, 0.38)):
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        bent = [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            1.0,
        ]
        expected = rs.rs2_project_point_to_pixel(intrinsics, [x, y, 1.0])
        assert camera.project(bent) == pytest.approx(expected, abs=0.02)


def test_a_fisheye_is_equidistant_and_what_has_no_name_is_refused() -> None:
    intrinsics = rs.intrinsics()
    intrinsics.model = rs.distortion.kannala_brandt4
    assert distortion(intrinsics).model == "equidistant"
    assert len(distortion(intrinsics).coefficients) == 4
    intrinsics.model = rs.distortion.ftheta
    with pytest.raises(CameraError, match=r"distortion_unknown.*ftheta"):
        distortion(intrinsics)


# ---- a session with a software device -------------------------------------------------------------------------------


class Feeder:
    """Feeds a software device at the camera's rate, in a thread, the way it is told to."""

    def __init__(self, source: SoftwareSource) -> None:
        self.mode = "live"
        self._source = source
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number, stamp_ns = 0, time.time_ns()
        while not self._stop.wait(CONTROL_PERIOD_S):
            if self.mode == "stopped":
                continue
            if self.mode == "live":
                number, stamp_ns = number + 1, time.time_ns()
            # A sensor that is not open takes nothing; whether it is can change at any time.
            self._source.feed(RGB, FLAT, number, stamp_ns)


class Heard:
    """What a session told."""

    def __init__(self) -> None:
        self.stamps_ns: list[int] = []
        self.depths_mm: set[int] = set()
        self.errors: list[CameraError] = []

    def on_frame(self, frame: RgbdFrame, camera: CameraDescription) -> None:
        self.stamps_ns.append(frame.stamp_ns)
        self.depths_mm.add(int(np.median(frame.depth_mm)))

    def on_opened(self, camera: CameraDescription) -> None:
        pass

    def on_error(self, error: CameraError) -> None:
        self.errors.append(error)


def wait_for(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("mode", "faults"), [("stopped", {Fault.STALLED}), ("frozen", {Fault.FROZEN, Fault.STALLED, Fault.CLOCK})]
)
def test_a_source_that_stops_or_freezes_gives_no_frames_and_a_named_fault(mode: str, faults: set[Fault]) -> None:
    source = SoftwareSource(replace(CAMERA, domain=TimeDomain.GLOBAL, color_T_depth=Pose.identity()))
    heard = Heard()
    session = CameraSession(source, heard, Timing(frame_timeout_s=0.5, reconnect_s=0.05))
    session.start()
    try:
        with Feeder(source) as feeder:
            wait_for(lambda: len(heard.stamps_ns) > 10)
            assert session.status.state is State.STREAMING
            assert heard.depths_mm == {1000}
            feeder.mode = mode
            time.sleep(0.1)  # what was on its way
            count = len(heard.stamps_ns)
            wait_for(lambda: session.status.error is not None)
            assert len(heard.stamps_ns) == count
            assert heard.errors[0].fault in faults
            feeder.mode = "live"
            wait_for(lambda: len(heard.stamps_ns) > count + 5)
            assert session.status.error is None
    finally:
        session.stop()
    assert np.all(np.diff(heard.stamps_ns) > 0)


# ---- cameras on this machine ----------------------------------------------------------------------------------------


class Bus:
    """A context that lists software devices."""

    def __init__(self, *devices: Any) -> None:
        self.devices = devices

    def query_devices(self) -> tuple[Any, ...]:
        return self.devices


def source_on(bus: Bus, serial: str = "", color: Profile | None = None) -> DeviceSource:
    source = DeviceSource(color or profile_of(COLOR), profile_of(DEPTH), serial)
    source._context = bus
    return source


def software(serial: str, usb_type: str = "") -> SoftwareSource:
    source = SoftwareSource(replace(CAMERA, serial=serial))
    if usb_type:
        source.device.register_info(rs.camera_info.usb_type_descriptor, usb_type)
    return source


def test_a_camera_is_chosen_by_its_serial_number() -> None:
    one, two = software("111"), software("222", "2.1")
    bus = Bus(one.device, two.device)
    source = source_on(bus, "222")
    description = source.open(reset=False)
    assert (description.serial, description.is_usb2) == ("222", True)
    pair = None
    for number in range(1, 10):
        two.feed(RGB, FLAT, number, number * CONTROL_PERIOD_NS)
        pair = pair or source.read(0.2)
    assert pair is not None and pair.color.domain is TimeDomain.HARDWARE
    assert source.is_connected()
    bus.devices = (one.device,)
    assert not source.is_connected()
    source.close()


@pytest.mark.parametrize(
    ("serials", "wanted", "fault", "text"),
    [
        ((), "", Fault.NO_CAMERA, "no RealSense camera is connected"),
        ((), "333", Fault.SERIAL_NOT_CONNECTED, "connected: none"),
        (("111", "222"), "333", Fault.SERIAL_NOT_CONNECTED, r"111 \(software device\), 222 \(software device\)"),
        (("111", "222"), "", Fault.SEVERAL_CAMERAS, "serial_no"),
    ],
)
def test_a_camera_that_is_not_there_is_named_beside_those_that_are(
    serials: tuple[str, ...], wanted: str, fault: Fault, text: str
) -> None:
    devices = [software(serial) for serial in serials]
    with pytest.raises(CameraError, match=text) as caught:
        source_on(Bus(*(device.device for device in devices)), wanted).open(reset=False)
    assert caught.value.fault is fault
    assert not caught.value.is_final, "it may be plugged in yet"


@pytest.mark.parametrize(("usb_type", "fault"), [("3.2", Fault.PROFILE), ("2.1", Fault.USB2)])
def test_a_profile_that_a_camera_lacks_is_answered_with_those_it_has(usb_type: str, fault: Fault) -> None:
    device = software("111", usb_type)
    with pytest.raises(CameraError, match="there is no colour 1280x720x30, available: 424x240x30") as caught:
        source_on(Bus(device.device), color=Profile(1280, 720, 30)).open(reset=False)
    assert caught.value.fault is fault
    assert caught.value.is_final == (fault is Fault.PROFILE), "another port has other profiles"


def test_without_the_sdk_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(SetupError, match="make venv EXTRAS=realsense"):
        realsense()


# ---- recordings -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One and a half seconds of a software device, recorded by the SDK."""
    path = tmp_path_factory.mktemp("recording") / "camera.db3"
    source = SoftwareSource(CAMERA)
    recorder = rs.recorder(str(path), source.device)
    frames = rs.frame_queue(1)
    sensors = list(recorder.query_sensors())
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles())
        sensor.start(frames)
    for number in range(1, 46):
        source.feed(RGB, FLAT, number, 10**18 + number * CONTROL_PERIOD_NS)
        time.sleep(CONTROL_PERIOD_S)
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    return path


def test_a_recording_plays_once_with_its_own_stamps(recording: Path) -> None:
    source = RecordingSource(recording, profile_of(COLOR), profile_of(DEPTH))
    heard = Heard()
    session = CameraSession(source, heard, Timing())
    session.start()
    try:
        wait_for(lambda: session.status.state is State.OVER)
    finally:
        session.stop()
    assert [error.fault for error in heard.errors] == [Fault.RECORDING_OVER]
    assert len(heard.stamps_ns) > 30
    numbers = (np.array(heard.stamps_ns) - 10**18) / CONTROL_PERIOD_NS
    assert np.allclose(numbers, np.round(numbers), atol=1e-3)
    assert heard.depths_mm == {1000}


def test_a_bag_of_an_earlier_sdk_plays() -> None:
    """Thirty frames of a software device, recorded by SDK 2.55, which wrote ROS 1 bags."""
    size = Profile(64, 48, 30)
    heard = Heard()
    session = CameraSession(RecordingSource(ROOT / "tests" / "data" / "camera.bag", size, size), heard, Timing())
    session.start()
    try:
        wait_for(lambda: session.status.state is State.OVER)
    finally:
        session.stop()
    assert len(heard.stamps_ns) > 15
    assert min(heard.stamps_ns) > 10**18 and heard.depths_mm == {1000}


def test_files_that_are_no_recordings_are_refused(tmp_path: Path, recording: Path) -> None:
    junk = tmp_path / "junk.bag"
    junk.write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    for path, color, fault in (
        (tmp_path / "none.bag", profile_of(COLOR), Fault.RECORDING),
        (junk, profile_of(COLOR), Fault.RECORDING),
        (recording, Profile(640, 480, 30), Fault.PROFILE),
    ):
        with pytest.raises(CameraError) as caught:
            RecordingSource(path, color, profile_of(DEPTH)).open(reset=False)
        assert caught.value.fault is fault
        assert caught.value.is_final


# ---- the node -------------------------------------------------------------------------------------------------------


def run_camera_node(*parameters: str, path: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "camera_node.main", "--ros-args", "--disable-external-lib-logs"]
    for parameter in parameters:
        command += ["-p", parameter]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (path, str(ROOT))))}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.ros
def test_a_node_that_cannot_do_its_work_says_why_and_ends(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    missing = run_camera_node("serial_no:=_none", "wait_for_device_timeout:=0.0")
    assert missing.returncode == 1
    assert "camera_node: serial_not_connected: camera none is not connected" in missing.stderr
    (tmp_path / "pyrealsense2.py").write_text("raise ImportError('libusb-1.0.so.0: cannot open shared object file')")
    unloadable = run_camera_node(path=str(tmp_path))
    assert unloadable.returncode == 1
    assert "apt-get install libusb-1.0-0" in unloadable.stderr


@pytest.mark.ros
def test_the_node_publishes_what_the_contract_says(tmp_path: Path, recording: Path) -> None:
    rclpy = pytest.importorskip("rclpy")
    from fetch_sim2real.messages.images import decode_color, decode_depth
    from fetch_sim2real.messages.stamps import decode_stamp
    from fetch_sim2real.ros.topics import subscribe_to

    came: dict[str, dict[int, Any]] = {}
    reports: list[dict[str, str]] = []

    def keep(topic: graph.Topic) -> Callable[[Any], None]:
        stamped = came.setdefault(topic.name, {})
        return lambda message: stamped.__setitem__(decode_stamp(message.header.stamp), message)

    def read_report(message: Any) -> None:
        for status in message.status:
            reports.append({"message": status.message, **{value.key: value.value for value in status.values}})

    context = rclpy.context.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("camera_listener", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    topics = (graph.COLOR, graph.COLOR_INFO, graph.DEPTH, graph.DEPTH_INFO)
    for topic in topics:
        subscribe_to(node, replace(topic, subscribe=graph.RELIABLE_100), keep(topic))
    subscribe_to(node, graph.DIAGNOSTICS, read_report)
    process = NodeProcess("camera_node", graph.CAMERA_NODE, {"rosbag_filename": str(recording)}, stop_rank=0)
    try:
        with launch([process], tmp_path / "log") as supervisor:
            deadline_s = time.monotonic() + 25.0
            while not any(report["fault"] == "recording_over" for report in reports):
                supervisor.check()
                assert time.monotonic() < deadline_s, reports
                executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    shared = set.intersection(*(set(came[topic.name]) for topic in topics))
    assert len(shared) > 5
    stamp_ns = min(shared)
    color, info, depth, depth_info = (came[topic.name][stamp_ns] for topic in topics)
    assert {m.header.frame_id for m in (color, info, depth, depth_info)} == {graph.COLOR_OPTICAL_FRAME}
    assert np.array_equal(decode_color(color), RGB)
    assert np.median(decode_depth(depth)) == 1000
    assert info == depth_info
    assert (info.width, info.height, info.distortion_model) == (424, 240, "plumb_bob")
    assert list(info.k) == pytest.approx([307.0, 0.0, 213.0, 0.0, 307.0, 117.5, 0.0, 0.0, 1.0])
    last = reports[-1]
    assert (last["clock"], last["serial"], last["state"]) == ("recorded", "software", "over")
    assert "recording_over" in last["message"]
