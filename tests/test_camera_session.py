"""The camera node without the SDK: parameters, clocks, pairs, and how a session lives through everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_node.faults import CameraError, Fault, sdk_errors
from camera_node.pairs import MAX_SKEW_NS, WRAP_NS, DeviceClock, PairFilter, Refusal
from camera_node.profile import Profile, ProfileTextError
from camera_node.sdk_geometry import DepthConverter
from camera_node.sensor_stream import list_profiles
from camera_node.session import MAX_AGE_NS, CameraSession, State, Status, Timing
from camera_node.source import CameraChangedError, CameraDescription, Distortion, FrameTag, RawPair, TimeDomain
from fetch_sim2real.perception.camera import CameraModel, Pose
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import RgbdFrame

pytestmark = pytest.mark.timeout(30)

PROFILE = Profile(4, 3, 30)
CAMERA = CameraDescription(
    name="test camera", serial="1", firmware="", usb_type="3.2", color=PROFILE, depth=PROFILE, depth_unit_m=0.001,
    camera=CameraModel(4, 3, 4.0, 4.0, 1.5, 1.0), distortion=Distortion("plumb_bob", (0.0,) * 5),
)  # fmt: skip
RGB = np.zeros((3, 4, 3), np.uint8)
DEPTH = np.full((3, 4), 1000, np.uint16)
# Long enough that a busy machine does not look like a stalled camera.
QUICK = Timing(frame_timeout_s=0.4, reconnect_s=0.01)


def tag(number: int, device_ns: int, domain: TimeDomain = TimeDomain.GLOBAL, arrival_ns: int = 0) -> FrameTag:
    return FrameTag(number, device_ns, domain, arrival_ns or device_ns)


def pair(number: int, device_ns: int, domain: TimeDomain = TimeDomain.GLOBAL) -> RawPair:
    return RawPair(RGB, DEPTH, tag(number, device_ns, domain), tag(number, device_ns, domain))


# ---- profiles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["424x240x30", "424,240,30", " 424 X 240 x 30 "])
def test_profiles_are_read_as_realsense2_camera_writes_them(text: str) -> None:
    assert Profile.parse(text) == Profile(424, 240, 30)
    assert Profile.parse(str(Profile.parse(text))) == Profile(424, 240, 30)


@pytest.mark.parametrize("text", ["", "424x240", "424x240@30", "0x240x30", "-424x240x30", "424x240x30x1", "hd"])
def test_anything_else_is_no_profile(text: str) -> None:
    with pytest.raises(ProfileTextError, match="424x240x30"):
        Profile.parse(text)


def test_profiles_are_listed_by_size() -> None:
    profiles = [Profile(640, 480, 30), Profile(424, 240, 6), Profile(640, 480, 15), Profile(640, 480, 30)]
    assert list_profiles(profiles) == "424x240x6, 640x480x15|30"
    assert list_profiles([]) == "none"


# ---- depth ----------------------------------------------------------------------------------------------------------


@given(st.sampled_from([1e-4, 2.5e-4, 1e-3, 1e-2]), st.lists(st.integers(0, 65535), min_size=12, max_size=12))
def test_depth_becomes_the_nearest_millimetre(unit_m: float, values: list[int]) -> None:
    raw = np.array(values, dtype=np.uint16).reshape(3, 4)
    millimetres = DepthConverter(unit_m, CAMERA.camera, Pose.identity())(raw)
    exact = raw * (unit_m * 1e3)
    fits = exact < 65535
    assert np.all(np.abs(millimetres[fits] - exact[fits]) <= 0.51)
    assert np.all(millimetres[exact > 65535.5] == 0), "what 16 bits cannot hold is no depth"


def test_depth_in_millimetres_is_not_copied() -> None:
    assert DepthConverter(float(np.float32(1e-3)), CAMERA.camera, Pose.identity())(DEPTH) is DEPTH


def test_depth_is_measured_along_the_colour_cameras_axis() -> None:
    rng = np.random.default_rng(1)
    color = CameraModel(64, 48, 50.0, 50.0, 31.0, 24.0)
    angle = 0.05
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    color_T_depth = Pose(np.array([0.02, -0.01, 0.03]), turn)
    v, u = np.mgrid[0:48, 0:64]
    points = color.deproject(np.stack([u, v], -1), rng.uniform(0.5, 2.0, (48, 64)))
    along_depth_axis = color_T_depth.inverse().apply(points)[..., 2]
    raw = np.round(along_depth_axis * 1e4).astype(np.uint16)
    millimetres = DepthConverter(1e-4, color, color_T_depth)(raw)
    assert np.abs(millimetres - points[..., 2] * 1e3).max() < 0.6
    assert not DepthConverter(1e-4, color, color_T_depth)(np.zeros_like(raw)).any(), "no depth stays no depth"


# ---- clocks ---------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.integers(0, 10**18),
    st.integers(0, WRAP_NS - 1),
    st.floats(-1e-4, 1e-4),
    st.integers(0, 2**31),
)
def test_the_devices_own_clock_is_followed_through_drift_jitter_and_wrap(
    epoch_ns: int, start_ns: int, drift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    fastest_ns = 20_000_000
    clock = DeviceClock()
    for index in range(900):
        exposed_ns = epoch_ns + index * CONTROL_PERIOD_NS
        device_ns = (start_ns + round(index * CONTROL_PERIOD_NS * (1.0 + drift))) % WRAP_NS
        # One frame in twenty arrives undelayed.
        delay_ns = fastest_ns + (0 if index % 20 == 0 else int(rng.exponential(10e6)))
        stamp_ns = clock.stamp_ns(tag(index, device_ns, TimeDomain.HARDWARE, exposed_ns + delay_ns))
        # 0.1 ms per second of drift over a window of ten seconds, plus what is forgotten of it.
        assert abs(stamp_ns - (exposed_ns + fastest_ns)) < 1_200_000


def test_a_device_that_begins_anew_is_measured_anew() -> None:
    clock = DeviceClock()
    clock.stamp_ns(tag(1, 10**9, TimeDomain.HARDWARE, arrival_ns=5 * 10**9))
    assert clock.stamp_ns(tag(2, 1000, TimeDomain.HARDWARE, arrival_ns=6 * 10**9)) == 6 * 10**9
    assert clock.offset_ms == pytest.approx((6 * 10**9 - 1000) * 1e-6)


def test_the_middle_of_the_exposure_is_stamped_and_the_delay_reported() -> None:
    clock = DeviceClock()
    sample = FrameTag(1, 10**18, TimeDomain.GLOBAL, arrival_ns=10**18 + 30_000_000, mid_exposure_ns=4_000_000)
    assert clock.offset_ms is None
    assert clock.stamp_ns(sample) == 10**18 - 4_000_000
    assert clock.offset_ms == pytest.approx(30.0)


def test_a_recording_keeps_its_stamps() -> None:
    assert DeviceClock().stamp_ns(FrameTag(1, 123, TimeDomain.RECORDED, arrival_ns=10**18)) == 123


# ---- pairs ----------------------------------------------------------------------------------------------------------


def test_only_new_frames_of_one_moment_pass() -> None:
    pairs = PairFilter()
    assert pairs.refusal(pair(7, 0)) is None
    assert pairs.refusal(pair(7, 0)) is Refusal.REPEATED
    half = RawPair(RGB, DEPTH, tag(8, CONTROL_PERIOD_NS), tag(7, 0))
    assert pairs.refusal(half) is Refusal.REPEATED, "new colour on old depth"
    late = 2 * CONTROL_PERIOD_NS
    assert pairs.refusal(RawPair(RGB, DEPTH, tag(9, late), tag(9, late - MAX_SKEW_NS - 1))) is Refusal.UNPAIRED
    mixed = RawPair(RGB, DEPTH, tag(10, late), tag(10, late, TimeDomain.HARDWARE))
    assert pairs.refusal(mixed) is Refusal.UNPAIRED, "times of two clocks say nothing of each other"
    assert pairs.refusal(pair(14, 6 * CONTROL_PERIOD_NS)) is None
    assert (pairs.color_drops, pairs.depth_drops) == (4, 4)


# ---- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("xioctl(VIDIOC_S_FMT) failed, errno=16 Last Error: Device or resource busy", Fault.BUSY),
        ("failed to open usb interface: 0, error: RS2_USB_STATUS_ACCESS, permission denied", Fault.NO_PERMISSION),
        ("Couldn't resolve requests", Fault.SDK),
    ],
)
def test_the_sdks_errors_get_a_name(text: str, fault: Fault) -> None:
    with pytest.raises(CameraError, match=f"{fault.value}: opening: ") as caught, sdk_errors("opening"):
        raise RuntimeError(text)
    assert caught.value.fault is fault
    assert not caught.value.is_final


# ---- sessions -------------------------------------------------------------------------------------------------------


@dataclass
class Script:
    """A source that does what each opening's entry says: fail, or give what the function gives."""

    openings: list[CameraError | Callable[[int], RawPair | None]]
    is_plugged_in: bool = True
    lacks: str | None = None
    pauses: bool = False
    resets: list[bool] = field(default_factory=list)
    closings: int = 0
    _reads: int = 0
    _give: Callable[[int], RawPair | None] = lambda _: None

    def open(self, reset: bool) -> CameraDescription:
        self.resets.append(reset)
        entry = self.openings.pop(0) if len(self.openings) > 1 else self.openings[0]
        if isinstance(entry, CameraError):
            raise entry
        self._give, self._reads = entry, 0
        return CAMERA

    def read(self, timeout_s: float) -> RawPair | None:
        time.sleep(min(timeout_s, 0.003))
        self._reads += 1
        return self._give(self._reads)

    def missing(self) -> str | None:
        return self.lacks

    def is_paused(self) -> bool:
        return self.pauses

    def is_connected(self) -> bool:
        return self.is_plugged_in

    def close(self) -> None:
        self.closings += 1


@dataclass
class Heard:
    """What a session told."""

    stamps_ns: list[int] = field(default_factory=list)
    openings: int = 0
    errors: list[CameraError] = field(default_factory=list)

    def on_frame(self, frame: RgbdFrame, camera: CameraDescription) -> None:
        self.stamps_ns.append(frame.stamp_ns)

    def on_opened(self, camera: CameraDescription) -> None:
        self.openings += 1

    def on_error(self, error: CameraError) -> None:
        self.errors.append(error)

    @property
    def faults(self) -> list[Fault]:
        return [error.fault for error in self.errors]


@contextmanager
def running(session: CameraSession) -> Iterator[None]:
    session.start()
    try:
        yield
    finally:
        session.stop()


def wait_for(condition: Callable[[], bool], limit_s: float = 8.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not happen in time"
        time.sleep(0.002)


def live(number: int) -> RawPair:
    return pair(number, time.time_ns())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts have no exposure to adjust."""
    monkeypatch.setattr("camera_node.session.FIRST_PAIR_S", QUICK.frame_timeout_s)


def test_an_unplugged_camera_is_named_and_opened_again_when_it_is_back() -> None:
    gone = CameraError(Fault.NO_CAMERA, "no camera")
    heard = Heard()

    def until_unplugged(read: int) -> RawPair | None:
        source.is_plugged_in = read <= 5
        return live(read) if source.is_plugged_in else None

    source = Script([until_unplugged, gone, gone, live])
    session = CameraSession(source, heard, replace(QUICK, reconnect_s=0.1))
    with running(session):
        wait_for(lambda: session.status.state is State.WAITING)
        assert session.status.error is not None
        wait_for(lambda: len(heard.stamps_ns) > 10)
        assert session.status.error is None
    assert heard.faults == [Fault.UNPLUGGED, Fault.NO_CAMERA, Fault.NO_CAMERA]
    assert heard.openings == 2
    assert sorted(set(heard.stamps_ns)) == heard.stamps_ns
    assert source.resets == [False] * 4, "a camera that is gone cannot be reset"
    assert session.status.state is State.STOPPED


def test_an_initial_reset_waits_for_a_camera_to_reset() -> None:
    source = Script([CameraError(Fault.NO_CAMERA, "no camera"), live])
    heard = Heard()
    with running(CameraSession(source, heard, QUICK, initial_reset=True)):
        wait_for(lambda: len(heard.stamps_ns) > 3)
    assert source.resets == [True, True]


def test_a_stalled_camera_is_opened_anew_and_then_reset() -> None:
    source = Script([lambda n: live(n) if n == 1 else None, lambda _: None, live])
    heard = Heard()
    with running(CameraSession(source, heard, QUICK)):
        wait_for(lambda: len(heard.stamps_ns) > 3)
    assert heard.faults == [Fault.STALLED, Fault.STALLED]
    assert source.resets == [False, False, True]


@pytest.mark.parametrize(("lacks", "fault"), [("color", Fault.NO_COLOR), ("depth", Fault.NO_DEPTH)])
def test_half_a_camera_is_named(lacks: str, fault: Fault) -> None:
    heard = Heard()
    with running(CameraSession(Script([lambda _: None], lacks=lacks), heard, replace(QUICK, reconnect_s=5.0))):
        wait_for(lambda: bool(heard.errors))
    assert heard.faults == [fault] and f"no {lacks} for" in str(heard.errors[0])


def test_a_simulation_that_stands_still_is_no_stalled_camera() -> None:
    heard = Heard()
    source = Script([lambda n: live(n) if n == 1 else None], pauses=True)
    session = CameraSession(source, heard, replace(QUICK, frame_timeout_s=0.1))
    with running(session):
        wait_for(lambda: source._reads > 100)
        assert (heard.faults, session.status.state) == ([], State.STREAMING)
        source.pauses = False
        wait_for(lambda: heard.faults == [Fault.STALLED])


def test_another_camera_is_opened_at_once_and_without_an_error() -> None:
    def until_changed(read: int) -> RawPair:
        if read == 3:
            raise CameraChangedError
        return live(read)

    heard = Heard()
    with running(CameraSession(Script([until_changed, live]), heard, replace(QUICK, reconnect_s=60.0))):
        wait_for(lambda: heard.openings == 2)
    assert not heard.errors


@pytest.mark.parametrize(
    ("give", "fault", "refusal"),
    [
        (lambda _: pair(1, time.time_ns()), Fault.FROZEN, Refusal.REPEATED),
        (lambda n: pair(n, time.time_ns() + 10**9), Fault.CLOCK, Refusal.FUTURE),
        (lambda n: pair(n, time.time_ns() - MAX_AGE_NS - 10**8), Fault.CLOCK, Refusal.LATE),
        (lambda n: replace(live(n), depth=tag(n, 0)), Fault.UNPAIRED, Refusal.UNPAIRED),
    ],
)
def test_frames_that_are_of_no_use_go_no_further_and_are_named(
    give: Callable[[int], RawPair], fault: Fault, refusal: Refusal
) -> None:
    heard = Heard()
    session = CameraSession(Script([give]), heard, replace(QUICK, reconnect_s=5.0))
    with running(session):
        wait_for(lambda: bool(heard.errors))
        status = session.status
    assert heard.faults == [fault]
    assert status.error is not None and refusal.value in str(status.error)
    assert len(heard.stamps_ns) <= 1, "the first pair of a frozen camera is still new"
    assert session.statistics.take().refusals[refusal] > 5


def test_stamps_never_go_back_even_if_the_hosts_clock_does() -> None:
    start_ns = 10**18
    stamps = [0, 1, 2, 3, 1, 2, 3, 4, 5]
    heard = Heard()

    def give(read: int) -> RawPair | None:
        return pair(read, start_ns + stamps[read - 1] * CONTROL_PERIOD_NS) if read <= len(stamps) else None

    session = CameraSession(Script([give]), heard, QUICK, host_ns=lambda: start_ns + 6 * CONTROL_PERIOD_NS)
    with running(session):
        wait_for(lambda: len(heard.stamps_ns) == 6)
    assert [(stamp - start_ns) // CONTROL_PERIOD_NS for stamp in heard.stamps_ns] == [0, 1, 2, 3, 4, 5]
    assert session.statistics.take().refusals == {Refusal.NOT_ADVANCING: 3}


@pytest.mark.parametrize("jump_s", [-4247, -2])
def test_a_hosts_clock_that_was_set_back_does_not_silence_the_camera(jump_s: int) -> None:
    start_ns, jump_ns = 10**18, jump_s * 10**9
    stamps = [start_ns + i * CONTROL_PERIOD_NS + (jump_ns if i >= 10 else 0) for i in range(30)]
    heard, now_ns = Heard(), [0]

    def give(read: int) -> RawPair | None:
        if read > len(stamps):
            return None
        now_ns[0] = stamps[read - 1] + 1_000_000
        return pair(read, stamps[read - 1])

    session = CameraSession(Script([give]), heard, QUICK, host_ns=lambda: now_ns[0])
    with running(session):
        wait_for(lambda: len(heard.stamps_ns) == 28)
        assert session.status.clock_sets == 1
    assert heard.stamps_ns == [*stamps[:10], *stamps[12:]] and not heard.errors
    assert session.statistics.take().refusals == {Refusal.STRAY: 2}


@pytest.mark.parametrize("domain", [TimeDomain.RECORDED, TimeDomain.SIMULATED, TimeDomain.GLOBAL])
@pytest.mark.parametrize("jump_s", [-4247, 3600])
def test_one_odd_stamp_costs_a_session_few_pairs(domain: TimeDomain, jump_s: int) -> None:
    start_ns = 10**18
    stamps = [start_ns + i * CONTROL_PERIOD_NS + (jump_s * 10**9 if i == 10 else 0) for i in range(40)]
    heard, now_ns = Heard(), [0]

    def give(read: int) -> RawPair | None:
        now_ns[0] = start_ns + read * CONTROL_PERIOD_NS
        return pair(read, stamps[read - 1], domain) if read <= len(stamps) else None

    session = CameraSession(Script([give]), heard, QUICK, host_ns=lambda: now_ns[0])
    monotone = domain is TimeDomain.GLOBAL or jump_s < 0
    with running(session):
        wait_for(lambda: len(heard.stamps_ns) >= (39 if monotone else 38))
    assert heard.stamps_ns[-1] == stamps[-1]


def test_a_device_time_far_ahead_does_not_set_later_stamps_back() -> None:
    clock, epoch_ns = DeviceClock(), 10**18
    for index in range(40):
        device_ns = 10**10 + index * CONTROL_PERIOD_NS
        arrival_ns = epoch_ns + index * CONTROL_PERIOD_NS
        odd_ns = 600 * 10**9 if index == 20 else 0
        stamp_ns = clock.stamp_ns(tag(index, device_ns + odd_ns, TimeDomain.HARDWARE, arrival_ns))
        assert stamp_ns == arrival_ns + odd_ns, "from the future, which the session refuses"
    for index in range(40, 60):
        arrival_ns = epoch_ns - 500 * 10**9 + index * CONTROL_PERIOD_NS
        device_ns = 10**10 + index * CONTROL_PERIOD_NS
        stamp_ns = clock.stamp_ns(tag(index, device_ns, TimeDomain.HARDWARE, arrival_ns))
        assert (stamp_ns == arrival_ns) == (index >= 42), "the host's clock was set back"


def test_what_nothing_can_mend_ends_the_session() -> None:
    final = CameraError(Fault.PROFILE, "there is no colour 1x1x1")
    session = CameraSession(Script([final]), Heard(), QUICK)
    with running(session):
        wait_for(lambda: session.status.state is State.FAILED)
    with pytest.raises(CameraError, match="profile_not_available"):
        session.raise_failure()


def test_without_a_camera_a_session_waits_or_gives_up_as_asked() -> None:
    missing = CameraError(Fault.NO_CAMERA, "no camera")
    patient = CameraSession(Script([missing]), Heard(), QUICK)
    with running(patient):
        wait_for(lambda: patient.status.state is State.WAITING)
        patient.raise_failure()
    hasty = CameraSession(Script([missing]), Heard(), replace(QUICK, give_up_s=0.05))
    with running(hasty):
        wait_for(lambda: hasty.status.state is State.FAILED)
    with pytest.raises(CameraError, match="no_camera"):
        hasty.raise_failure()


def test_a_recording_that_is_over_is_no_failure() -> None:
    def give(read: int) -> RawPair:
        if read > 3:
            raise CameraError(Fault.RECORDING_OVER, "played")
        return pair(read, read, TimeDomain.RECORDED)

    heard = Heard()
    source = Script([give])
    session = CameraSession(source, heard, QUICK)
    with running(session):
        wait_for(lambda: session.status.state is State.OVER)
        session.raise_failure()
    assert heard.stamps_ns == [1, 2, 3]
    assert source.closings >= 1


def test_a_fault_of_the_program_reaches_the_main_thread() -> None:
    def broken(_: int) -> RawPair:
        raise ZeroDivisionError

    session = CameraSession(Script([broken]), Heard(), QUICK)
    with running(session):
        wait_for(lambda: session._crash is not None)
    with pytest.raises(ZeroDivisionError):
        session.raise_failure()


def test_stopping_does_not_wait_for_the_next_attempt() -> None:
    session = CameraSession(Script([CameraError(Fault.NO_CAMERA, "")]), Heard(), replace(QUICK, reconnect_s=60.0))
    with running(session):
        wait_for(lambda: session.status.state is State.WAITING)
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 1.0


# ---- reports and parameters: these need ROS -------------------------------------------------------------------------


def test_reports_say_what_is_wrong() -> None:
    pytest.importorskip("rclpy")
    from camera_node.node import report
    from camera_node.statistics import Summary
    from fetch_sim2real.ros.diagnostics import Level

    good = Status(State.STREAMING, CAMERA, None, 1, 0, 2, 31.5, TimeDomain.GLOBAL)
    full = Summary(30.0, 900, {"age_p50_ms": 40.0}, {"align_p50_ms": 1.0}, {Refusal.LATE: 1})
    ok = report(good, full)
    assert (ok.level, ok.message) == (Level.OK, "streaming")
    wanted = {
        "rate_hz": 30.0, "depth_drops": 2, "clock_offset_ms": 31.5, "usb_type": "3.2", "refused_late": 1,
        "align_p50_ms": 1.0,
    }  # fmt: skip
    assert wanted.items() <= ok.values.items()
    slow = report(good, replace(full, rate_hz=15.0))
    assert slow.level is Level.WARN and "15.0 Hz" in slow.message
    usb2 = report(replace(good, camera=replace(CAMERA, usb_type="2.1")), full)
    assert usb2.level is Level.WARN and "USB 2.1" in usb2.message
    gone = report(replace(good, state=State.WAITING, error=CameraError(Fault.UNPLUGGED, "plug it in")), full)
    assert gone.level is Level.ERROR and gone.message == "unplugged: plug it in"


class GivenParameters:
    """Parameters of a node, without one."""

    def __init__(self, **given: object) -> None:
        from camera_node.settings import TABLE

        names = {parameter.name.replace(".", "__"): parameter.name for parameter in TABLE}
        self._values = {parameter.name: parameter.default for parameter in TABLE}
        self._values |= {names[name]: value for name, value in given.items()}  # type: ignore[misc]

    def flag(self, name: str) -> object:
        return self._values[name]

    text = number = flag


def test_parameters_are_those_of_realsense2_camera() -> None:
    pytest.importorskip("rclpy")
    from camera_node.settings import camera_settings

    chosen = camera_settings(
        GivenParameters(  # type: ignore[arg-type]
            serial_no="_0123",
            depth_module__depth_profile="848x480x30",
            wait_for_device_timeout=3.0,
            rosbag_filename="~/a.bag",
        )
    )
    assert chosen.serial == "0123"
    assert (chosen.color, chosen.depth) == (Profile(424, 240, 30), Profile(848, 480, 30))
    assert chosen.wait_for_device_s == 3.0
    assert chosen.recording is not None and chosen.recording.is_absolute()
    assert camera_settings(GivenParameters()).wait_for_device_s is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ({"rgb_camera__color_profile": "hd"}, "rgb_camera.color_profile.*expected WIDTHxHEIGHTxRATE"),
        ({"depth_module__depth_profile": "424x240x60"}, "depth_module.depth_profile.*expected a rate of 30"),
        ({"align_depth__enable": False}, "align_depth.enable"),
        ({"enable_sync": False}, "enable_sync"),
    ],
)
def test_parameters_that_no_camera_can_meet_are_refused(given_value: dict[str, object], expected: str) -> None:
    pytest.importorskip("rclpy")
    from camera_node.settings import camera_settings
    from fetch_sim2real.common.option import OptionError

    with pytest.raises(OptionError, match=expected):
        camera_settings(GivenParameters(**given_value))  # type: ignore[arg-type]
