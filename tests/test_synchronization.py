"""Frames from messages of one moment, and the joint states that belong to them, whatever the stamps do."""

from __future__ import annotations

import numpy as np
import pytest

from fetch_sim2real.common.stamp_sequence import CONFIRMING_STAMPS, StampVerdict
from fetch_sim2real.paths import worlds_dir
from fetch_sim2real.policy.synchronization import (
    KEPT_NS,
    MAX_DEPTH_OFFSET_NS,
    FrameMessages,
    FramePairer,
    JointHistory,
    stamp_offset_ns,
)
from fetch_sim2real.sim.world_file import load_world
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import JointSample

S_NS = 10**9
MS_NS = 10**6


class Camera:
    """Feeds a pairer with frames that arrive a period apart."""

    def __init__(self, *, timed: bool = True) -> None:
        self.pairer, self._timed, self._frames = FramePairer(), timed, 0

    def frame(self, stamp_ns: int, depth_offset_ns: int = 0, info_offset_ns: int = 0) -> FrameMessages | None:
        """Colour, intrinsics and depth in the order of their stamps; the frame that came of them, if any."""
        self._frames += 1
        parts = sorted(
            [("color", stamp_ns), ("info", stamp_ns + info_offset_ns), ("depth", stamp_ns + depth_offset_ns)],
            key=lambda part: part[1],
        )
        arrived_ns = self._frames * CONTROL_PERIOD_NS if self._timed else None
        frames = [self.pairer.add(part, stamp, f"{part} {stamp}", arrived_ns) for part, stamp in parts]
        whole = [frame for frame in frames if frame is not None]
        assert len(whole) <= 1
        return whole[0] if whole else None


def joints(stamp_ns: int) -> JointSample:
    return JointSample(stamp_ns, np.zeros(7), np.zeros(7), 0.0)


@pytest.mark.parametrize("jump_s", [-4247, -2, 3600])
def test_one_odd_frame_costs_itself_alone(jump_s: int) -> None:
    camera, answered = Camera(), 0
    for i in range(40):
        odd_ns = jump_s * S_NS if i == 10 else 0
        answered += camera.frame(5000 * S_NS + i * CONTROL_PERIOD_NS + odd_ns) is not None
    assert answered == 39
    assert (camera.pairer.stamps.strays, camera.pairer.stamps.new_clocks) == (1, 0)


@pytest.mark.parametrize("jump_s", [-4247, -0.5, 3600])
def test_a_camera_whose_clock_was_set_is_followed_and_its_first_frame_says_so(jump_s: float) -> None:
    camera = Camera()
    for i in range(20):
        assert camera.frame(5000 * S_NS + i * CONTROL_PERIOD_NS) is not None
    start_ns = 5000 * S_NS + 20 * CONTROL_PERIOD_NS + round(jump_s * 1e9)
    frames = [camera.frame(start_ns + i * CONTROL_PERIOD_NS) for i in range(20)]
    assert [frame is None for frame in frames] == [True] * (CONFIRMING_STAMPS - 1) + [False] * (21 - CONFIRMING_STAMPS)
    assert [frame.is_of_new_clock for frame in frames if frame] == [True] + [False] * (20 - CONFIRMING_STAMPS)


def test_a_simulation_that_is_reset_loses_no_frame() -> None:
    camera = Camera(timed=False)
    starts_s = (1, 9, 4000)
    frames = [camera.frame(s * S_NS + i * CONTROL_PERIOD_NS) for s in starts_s for i in range(5)]
    assert all(frame is not None and not frame.is_of_new_clock for frame in frames)


@pytest.mark.parametrize("offset_ms", [-14, -5, 5, 14])
def test_depth_that_is_stamped_a_little_beside_its_colour_is_taken_and_told(offset_ms: int) -> None:
    camera = Camera()
    frames = [camera.frame(S_NS + i * CONTROL_PERIOD_NS, depth_offset_ns=offset_ms * MS_NS) for i in range(20)]
    taken = [frame for frame in frames if frame is not None]
    assert len(taken) >= 17 and frames[-1] is not None
    assert {frame.depth_offset_ns for frame in taken} == {offset_ms * MS_NS}
    assert all(frame.depth == f"depth {frame.stamp_ns + offset_ms * MS_NS}" for frame in taken)
    assert camera.pairer.trouble() == "" and camera.pairer.depth_offset_ms == offset_ms
    # Synchronized again, depth is of the same moment again.
    again = [camera.frame(2 * S_NS + i * CONTROL_PERIOD_NS) for i in range(5)]
    assert [frame.depth_offset_ns for frame in again[1:] if frame] == [0] * 4


@pytest.mark.parametrize("offset_ms", [-16, 16])
def test_depth_of_another_moment_makes_no_frame_and_is_measured(offset_ms: int) -> None:
    camera = Camera()
    for i in range(10):
        assert camera.frame(S_NS + i * CONTROL_PERIOD_NS, depth_offset_ns=offset_ms * MS_NS) is None
    trouble = camera.pairer.trouble()
    assert "16.0 ms" in trouble and ("after" if offset_ms > 0 else "before") in trouble and "enable_sync" in trouble
    assert camera.pairer.depth_offset_ms == offset_ms


def test_a_lost_depth_image_is_not_replaced_by_its_neighbours() -> None:
    pairer, period_ns, taken = FramePairer(), S_NS // 90, []
    for i in range(60):
        for part in ("color", "info", "depth"):
            if part != "depth" or i % 7:
                taken.append(pairer.add(part, i * period_ns, part))
    assert {frame.depth_offset_ns for frame in taken if frame} == {0}
    assert sum(frame is not None for frame in taken) == sum(i % 7 > 0 for i in range(60))


def test_what_a_camera_does_not_send_is_named() -> None:
    for missing, words in (("depth", "aligned depth"), ("info", "camera_info"), ("color", "colour image")):
        pairer = FramePairer()
        for i in range(5):
            for part in {"color", "info", "depth"} - {missing}:
                pairer.add(part, i * CONTROL_PERIOD_NS, part)
        assert words in pairer.trouble()
    camera = Camera()
    for i in range(5):
        camera.frame(S_NS + i * CONTROL_PERIOD_NS, info_offset_ns=-2 * MS_NS)
    assert "camera_info" in camera.pairer.trouble() and "-2.0 ms" in camera.pairer.trouble()


def test_the_accepted_offset_is_what_training_varies() -> None:
    skew_s = load_world("randomized", worlds_dir()).timing.depth_skew_s
    assert (round(-1e9 * skew_s.low), round(1e9 * skew_s.high)) == (MAX_DEPTH_OFFSET_NS, MAX_DEPTH_OFFSET_NS)


def test_an_offset_is_the_median_of_the_nearest() -> None:
    references = [i * 100 for i in range(10)]
    assert stamp_offset_ns([i * 100 + 5 for i in range(10)], references) == 5
    assert stamp_offset_ns([i * 100 - 7 for i in range(10)], references) == -7
    assert stamp_offset_ns([], references) is None and stamp_offset_ns(references, []) is None


@pytest.mark.parametrize("rate_hz", [50, 100, 1000, 5000])
@pytest.mark.parametrize("latency_ms", [9, 90, 500])
def test_a_late_frame_finds_its_joint_state_at_any_rate(rate_hz: int, latency_ms: int) -> None:
    history, period_ns = JointHistory(), S_NS // rate_hz
    for i in range(2 * rate_hz):
        history.add(joints(S_NS + i * period_ns), i * period_ns)
        assert len(history) <= 1.25 * KEPT_NS / MS_NS + 2
    frame_ns = history.newest_ns - latency_ms * MS_NS - 123_456
    found = history.at(frame_ns)
    assert found is not None and abs(found.stamp_ns - frame_ns) <= max(period_ns // 2, MS_NS)


@pytest.mark.parametrize("jump_s", [-4247, 60, 3600])
def test_an_odd_joint_state_leaves_the_history_as_it_is(jump_s: int) -> None:
    history = JointHistory()
    for i in range(20):
        odd_ns = jump_s * S_NS if i == 10 else 0
        verdict = history.add(joints(5000 * S_NS + i * 10 * MS_NS + odd_ns), i * 10 * MS_NS)
        assert verdict is (StampVerdict.STRAY if i == 10 else StampVerdict.NEWER)
    assert len(history) == 19 and history.stamps.strays == 1
    found = history.at(5000 * S_NS + 30 * MS_NS)
    assert found is not None and found.stamp_ns == 5000 * S_NS + 30 * MS_NS


@pytest.mark.parametrize("jump_s", [-4247, 60])
def test_a_robot_whose_clock_was_set_begins_a_new_history_without_a_loss(jump_s: int) -> None:
    history = JointHistory()
    for i in range(20):
        history.add(joints(5000 * S_NS + i * 10 * MS_NS), i * 10 * MS_NS)
    start_ns = (5000 + jump_s) * S_NS
    for i in range(20, 24):
        history.add(joints(start_ns + i * 10 * MS_NS), i * 10 * MS_NS)
    assert len(history) == 4 and history.stamps.new_clocks == 1
    found = history.at(start_ns + 200 * MS_NS)
    assert found is not None and found.stamp_ns == start_ns + 200 * MS_NS
