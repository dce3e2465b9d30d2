"""The robot's base, by its odometry: where it stood when the arm was enabled, it has to stay."""

from __future__ import annotations

import math

import pytest

from fetch_sim2real.control.readings import BASE_TIMEOUT_S, BaseWatch
from fetch_sim2real.rosbridge import topics as ros1
from fetch_sim2real.rosbridge.messages import Odometry, read
from fetch_sim2real.types import BasePose

HERE = BasePose(3.0, -2.0, 3.14)
NOW_NS = 10**12


def enabled(pose: BasePose | None = HERE) -> BaseWatch:
    watch = BaseWatch(0.02)
    if pose is not None:
        watch.on_pose(NOW_NS, pose)
    assert watch.objection(NOW_NS) == ""
    watch.anchor()
    return watch


@pytest.mark.parametrize(
    ("pose", "moved"),
    [
        (BasePose(3.015, -2.0, 3.14), False),
        (BasePose(3.0, -2.0, 3.14 + math.radians(1.0)), False),
        (BasePose(3.0, -2.0, 3.15 - math.tau), False),
        (BasePose(3.0, -1.975, 3.14), True),
        (BasePose(3.0, -2.0, 3.14 - math.radians(1.5)), True),
        (BasePose(3.015, -2.0, 3.15), True),
    ],
)
def test_the_gripper_may_be_moved_by_no_more_than_allowed(pose: BasePose, moved: bool) -> None:
    watch = enabled()
    watch.on_pose(NOW_NS, pose)
    assert ("has moved" in watch.objection(NOW_NS)) == moved
    watch.on_pose(NOW_NS, HERE)
    assert watch.objection(NOW_NS) == ""


def test_enabling_again_keeps_the_place_and_disabling_on_purpose_gives_it_up() -> None:
    watch, there = enabled(), BasePose(4.0, 0.0, 0.0)
    watch.on_pose(NOW_NS, there)
    watch.anchor()
    assert "2.236 m" in watch.objection(NOW_NS)
    watch.release()
    assert watch.objection(NOW_NS) == ""
    watch.anchor()
    watch.on_pose(NOW_NS, HERE)
    assert "2.236 m" in watch.objection(NOW_NS)


def test_slow_creeping_adds_up() -> None:
    watch = enabled()
    for step in range(30):
        watch.on_pose(NOW_NS, BasePose(3.0 + 0.001 * step, -2.0, 3.14))
    assert "0.029 m" in watch.objection(NOW_NS)


def test_odometry_that_came_once_may_not_cease_and_none_at_all_is_no_fault() -> None:
    late_ns = NOW_NS + round(BASE_TIMEOUT_S * 1e9) + 10**7
    assert "ceased" in enabled().objection(late_ns)
    assert enabled(None).objection(late_ns) == ""
    first_later = enabled(None)
    first_later.on_pose(NOW_NS, HERE)
    first_later.on_pose(NOW_NS, BasePose(3.1, -2.0, 3.14))
    assert "has moved" in first_later.objection(NOW_NS)
    lockstep = BaseWatch(0.02, lockstep=True)
    lockstep.on_pose(NOW_NS, HERE)
    assert lockstep.objection(late_ns) == ""
    stepped = enabled()
    stepped.forget_times()
    assert "ceased" in stepped.objection(NOW_NS)


def test_a_pose_that_is_none_is_no_pose() -> None:
    odd = BasePose.of(0.0, 0.0, (0.0, 0.0, 0.5, 0.5))
    assert not odd.is_finite and BasePose.of(1.0, 2.0, (0.0, 0.0, 0.0, 0.0)) == BasePose(1.0, 2.0, 0.0)
    watch = BaseWatch(0.02)
    watch.on_pose(NOW_NS, odd)
    assert "not finite" in watch.objection(NOW_NS)
    watch.on_pose(NOW_NS, HERE)
    assert watch.objection(NOW_NS) == ""
    watch.on_pose(NOW_NS + 10**9, odd)
    assert "ceased" in watch.objection(NOW_NS + 10**9)


def test_odometry_survives_the_way_through_json() -> None:
    message = ros1.odometry_json(HERE, ros1.header_json(5))
    pose = read(Odometry, message, "/odom").base_pose
    assert (pose.x_m, pose.y_m, pose.yaw_rad) == pytest.approx((3.0, -2.0, 3.14))
    message["pose"]["pose"]["position"]["x"] = None
    assert not read(Odometry, message, "/odom").base_pose.is_finite
