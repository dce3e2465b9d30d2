"""What the operator's node watches: joint states and frames whose stamps jump."""

from __future__ import annotations

import struct

import numpy as np
import pytest

pytest.importorskip("rclpy")

from fetch_sim2real.messages.joint_states import encode_joint_state
from fetch_sim2real.ros.operate.topic_monitors import FrameMonitor, JointMonitor
from fetch_sim2real.timing import CONTROL_PERIOD_NS
from fetch_sim2real.types import JointSample

S_NS = 10**9


def image(stamp_ns: int) -> bytes:
    return b"\0\1\0\0" + struct.pack("<iI", *divmod(stamp_ns, S_NS)) + bytes(8)


@pytest.mark.parametrize("jump_s", [-4247, 3600])
def test_one_odd_frame_is_left_out_and_the_others_are_aged(jump_s: int) -> None:
    watch = FrameMonitor()
    for i in range(30):
        now_ns = 5000 * S_NS + i * CONTROL_PERIOD_NS
        odd_ns = jump_s * S_NS if i == 5 else 0
        watch.note(image(now_ns - 40_000_000 + odd_ns), now_ns, i * CONTROL_PERIOD_NS)
    assert watch.ages_s == pytest.approx([0.04] * 29)


@pytest.mark.parametrize("jump_s", [-4247, 3600])
def test_one_odd_joint_state_is_left_out(jump_s: int) -> None:
    watch = JointMonitor()
    for i in range(30):
        now_ns = 5000 * S_NS + i * 10_000_000
        odd_ns = jump_s * S_NS if i == 5 else 0
        sample = JointSample(now_ns - 2_000_000 + odd_ns, np.zeros(7), np.zeros(7), 0.0)
        watch.on_message(encode_joint_state(sample, 0.35), i * 10_000_000)
        watch.note_age(now_ns)
    assert list(watch.ages_s) == pytest.approx([0.002] * 29)
    assert watch.rate_hz == pytest.approx(100.0)
    assert watch.newest is not None and watch.newest.stamp_ns == 5000 * S_NS + 288_000_000


def test_watches_follow_a_clock_that_was_set_back() -> None:
    frames, joints = FrameMonitor(), JointMonitor()
    for start_s in (5000, 753):
        for i in range(20):
            now_ns = start_s * S_NS + i * CONTROL_PERIOD_NS
            frames.note(image(now_ns - 40_000_000), now_ns, i * CONTROL_PERIOD_NS)
            joints.on_message(encode_joint_state(JointSample(now_ns, np.zeros(7), np.zeros(7), 0.0), 0.35), None)
            joints.note_age(now_ns)
    assert frames.ages_s == pytest.approx([0.04] * 18) and list(joints.ages_s) == [0.0] * 18
