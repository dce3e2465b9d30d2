"""Simulated pictures through the RealSense SDK's software device: complete, with their stamps, and aligned."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from camera_scenes import away_from_edges
from mujoco_simulation import mujoco_of
from test_camera_session import Heard, wait_for

from camera_node.faults import Fault
from camera_node.session import CameraSession, Timing
from camera_node.simulated_source import SimulatedFault, SimulatedPicture, SimulatedSource
from camera_node.source import CameraChangedError, RawPair, TimeDomain
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.sim.mujoco.render import RgbdRenderer
from fetch_sim2real.sim.mujoco.scene import CAMERA
from fetch_sim2real.sim.sensors.depth_camera import COLOR_T_DEPTH, depth_sensor_model
from fetch_sim2real.sim.simulation import Simulation, stamp_of_step
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.tasks.registry import find_task
from fetch_sim2real.timing import CONTROL_PERIOD_S, PHYSICS_STEPS_PER_PERIOD

pytest.importorskip(
    "pyrealsense2", reason="the RealSense SDK or libusb is missing: make venv EXTRAS=realsense", exc_type=ImportError
)
pytestmark = pytest.mark.timeout(90)

SIZE = (424, 240)
COLOR = CameraModel.from_fovy(*SIZE, float(np.deg2rad(42.5)))
RGB = np.random.default_rng(0).integers(0, 255, (240, 424, 3), dtype=np.uint8)
READ_LIMIT_S = 10.0


def picture(index: int, color: CameraModel = COLOR) -> SimulatedPicture:
    """The ``index``-th of a simulation; its depth says which."""
    depth_mm = np.full((240, 424), 1000 + index, np.uint16)
    stamp_ns = stamp_of_step((index + 30) * PHYSICS_STEPS_PER_PERIOD)
    return SimulatedPicture(stamp_ns, RGB, depth_mm, color, depth_sensor_model(*SIZE))


@contextmanager
def opened(first: SimulatedPicture) -> Iterator[SimulatedSource]:
    source = SimulatedSource(COLOR_T_DEPTH)
    source.put(first)
    try:
        source.open(reset=False)
        yield source
    finally:
        source.close()


@contextmanager
def fed_in_real_time(source: SimulatedSource) -> Iterator[None]:
    over = threading.Event()

    def feed() -> None:
        index = 0
        while not over.wait(CONTROL_PERIOD_S):
            source.put(picture(index))
            index += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def assert_is_of(pair: RawPair | None, given: SimulatedPicture) -> None:
    assert pair is not None, "a picture that is not answered stops a simulation in lockstep"
    for tag in (pair.color, pair.depth):
        assert (tag.device_ns, tag.domain, tag.mid_exposure_ns) == (given.stamp_ns, TimeDomain.SIMULATED, 0)
    assert np.array_equal(pair.rgb, given.rgb)
    assert abs(float(np.median(pair.depth_mm)) - given.depth_mm[0, 0]) <= 1.0


def test_every_picture_comes_out_with_its_own_stamp_whatever_the_gap_before_it() -> None:
    indices = [0, 1, 2, 3, 33, 34, 35, 36, 40, 41, 4000, 4001, 4002]
    with opened(picture(0)) as source:
        for index in indices:
            given = picture(index)
            if index:
                source.put(given)
            assert_is_of(source.read(READ_LIMIT_S), given)
        assert source.read(0.0) is None
        assert source.skipped == 0


def test_same_pictures_same_pairs() -> None:
    def depths() -> list[np.ndarray]:
        found = []
        with opened(picture(0)) as source:
            for index in range(4):
                if index:
                    source.put(picture(index))
                pair = source.read(READ_LIMIT_S)
                assert pair is not None
                found.append(pair.depth_mm.copy())
        return found

    assert all(np.array_equal(one, other) for one, other in zip(depths(), depths(), strict=True))


def test_other_intrinsics_are_another_camera_that_loses_no_picture() -> None:
    other = CameraModel.from_fovy(*SIZE, float(np.deg2rad(43.0)))
    with opened(picture(0)) as source:
        assert_is_of(source.read(READ_LIMIT_S), picture(0))
        source.put(picture(1, other))
        with pytest.raises(CameraChangedError):
            source.read(READ_LIMIT_S)
        description = source.open(reset=False)
        assert description.camera.fx == pytest.approx(other.fx)
        assert_is_of(source.read(READ_LIMIT_S), picture(1, other))


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (SimulatedFault.UNPLUGGED, {Fault.UNPLUGGED}),
        (SimulatedFault.FROZEN, {Fault.FROZEN, Fault.STALLED}),
        (SimulatedFault.COLOR_ONLY, {Fault.NO_DEPTH}),
        (SimulatedFault.DEPTH_ONLY, {Fault.NO_COLOR}),
    ],
)
def test_a_simulated_fault_gives_no_frames_until_it_is_over(fault: SimulatedFault, named: set[Fault]) -> None:
    source = SimulatedSource(COLOR_T_DEPTH)
    heard = Heard()
    session = CameraSession(source, heard, Timing(frame_timeout_s=1.0, reconnect_s=0.05))
    with fed_in_real_time(source):
        wait_for(lambda: source.is_ready)
        session.start()
        try:
            wait_for(lambda: len(heard.stamps_ns) > 5)
            assert not heard.errors
            before = len(heard.stamps_ns)
            source.fault = fault
            wait_for(lambda: bool(heard.errors))
            assert heard.errors[0].fault in named
            assert len(heard.stamps_ns) <= before + 2, "only pictures that were on their way"
            source.fault = SimulatedFault.NONE
            wait_for(lambda: len(heard.stamps_ns) > before + 7)
            assert session.status.error is None
        finally:
            session.stop()
    assert np.all(np.diff(heard.stamps_ns) > 0)


@pytest.mark.gl
@pytest.mark.parametrize("size", [(424, 240), (640, 480)])
def test_aligned_depth_is_what_mujoco_sees_from_the_colour_camera(size: tuple[int, int]) -> None:
    """Within 2 % on 95 % of the valid pixels away from edges, with the nominal world's depth errors on top."""
    sim = Simulation(load_world("nominal", worlds_dir()), find_task("push"), size, separate_depth=True)
    sim.reset(3)
    renderer = RgbdRenderer(mujoco_of(sim).model, CAMERA, *size)
    _, truth_m = renderer.render(mujoco_of(sim).data)
    captured = sim.advance_to_next_frame()
    assert captured is not None and captured.frame is not None
    frame = captured.frame
    given = SimulatedPicture(
        frame.stamp_ns, frame.rgb, frame.depth_mm, sim.camera_model, replace(sim.depth_camera_model)
    )
    with opened(given) as source:
        pair = source.read(READ_LIMIT_S)
        assert pair is not None
        aligned_mm = pair.depth_mm.copy()
    renderer.close()
    sim.close()
    here = away_from_edges(truth_m.astype(np.float64), margin_px=6)
    valid = here & (aligned_mm > 0)
    assert valid.sum() > 0.5 * here.sum()
    error = np.abs(aligned_mm * 1e-3 - truth_m) / truth_m
    assert np.mean(error[valid] < 0.02) > 0.95, np.percentile(error[valid], [50, 95, 99])
    # That the scene tells right from wrong: the depth sensor's own picture fails.
    raw = np.abs(frame.depth_mm * 1e-3 - truth_m) / truth_m
    assert np.mean(raw[valid & (frame.depth_mm > 0)] < 0.02) < 0.6
