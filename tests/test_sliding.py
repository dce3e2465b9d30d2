"""Sliding along limits of place: the arm gets along at tables, walls, stops and its own body, evenly, and rests where
nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from arm_geometry import OPEN_SCENE, TABLE_SCENE, euclidean_clearance

from fetch_sim2real.arm.clearance_slopes import ClearanceSlopes
from fetch_sim2real.arm.collision import Clearance, CollisionModel, Scene
from fetch_sim2real.arm.default import ARM
from fetch_sim2real.arm.ik import DifferentialIk
from fetch_sim2real.arm.kinematics import grip_position, kinematics_of
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.arm.spec import Box
from fetch_sim2real.control.checks import FilterSettings
from fetch_sim2real.control.filter import SafetyFilter
from fetch_sim2real.control.limiter import REQUIRED_CLEARANCE_M, REQUIRED_WORKSPACE_M, MotionLimiter, Rule
from fetch_sim2real.control.trajectory import position_after_step
from fetch_sim2real.timing import CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray, JointCommand, JointSample

DT = CONTROL_PERIOD_S
PROFILE = PROFILES["default"]
TORSO_M = 0.35
PLACE = Rule.POSITION | Rule.WORKSPACE | Rule.TABLE | Rule.BODY | Rule.SELF_COLLISION
# A workspace that ends below the table's top: what stops the gripper is the table.
LOW = Scene(TORSO_M, (0.46, -0.32, 0.60), (0.82, 0.32, 1.0), TABLE_SCENE.tables)
# Its far wall is where the arm is not stretched yet.
NEAR = Scene(TORSO_M, (0.46, -0.32, 0.745), (0.72, 0.32, 1.0), TABLE_SCENE.tables)
OPEN = Scene(TORSO_M, (-0.3, -1.1, 0.05), (1.1, 1.1, 1.9), (Box("out of reach", (2.0, 2.0, 0.0), (2.1, 2.1, 0.1)),))
BLOCK = Scene(TORSO_M, (0.3, -0.9, 0.3), (0.95, 0.9, 1.2), (Box("block", (0.5, -0.2, 0.0), (0.9, 0.2, 0.8)),))
IK = DifferentialIk(TORSO_M)

Command = Callable[[FloatArray], FloatArray]


def gripper_down_at(x_m: float, y_m: float, z_m: float) -> FloatArray:
    found = IK.reach(ARM.home_rad, np.array([x_m, y_m, z_m]))
    assert found is not None
    return found


def towards(*gripper_m_s: float) -> Command:
    """A gripper sent with a constant velocity, as an actor sends it: by inverse kinematics from where the arm is."""
    return lambda position: IK.step(position, np.array(gripper_m_s) * DT) / DT


def turning_free(*gripper_m_s: float) -> Command:
    """The same by the Jacobian alone, which lets a limit turn the gripper."""
    twist = np.array([*gripper_m_s, 0.0, 0.0, 0.0])

    def command(position: FloatArray) -> FloatArray:
        jacobian = kinematics_of(ARM).grip_jacobian(position)
        return jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(6), twist)

    return command


@dataclass
class Run:
    """What became of a command: state after each period (N, 7), and what limited it."""

    scene: Scene
    start: FloatArray
    positions: FloatArray
    velocities: FloatArray
    rules: list[Rule]

    @property
    def moved_m(self) -> FloatArray:
        return grip_position(self.positions[-1], TORSO_M) - grip_position(self.start, TORSO_M)

    @property
    def clearance(self) -> Clearance:
        return euclidean_clearance(self.positions, self.scene)

    def back_and_forth(self, first: int) -> float:
        """The largest change of a joint's velocity [rad/s] from period ``first`` on that the next period takes back."""
        change = np.diff(self.velocities[first:], axis=0)
        taken_back = change[1:] * change[:-1] < 0.0
        return float(np.max(np.minimum(np.abs(change[1:]), np.abs(change[:-1])) * taken_back))


def run(scene: Scene, start: FloatArray, command: Command, periods: int = 90, profile: str = "default") -> Run:
    limiter = MotionLimiter(PROFILES[profile], CollisionModel(scene))
    position, velocity = start, np.zeros(7)
    positions, velocities, rules = [], [], []
    for _ in range(periods):
        result = limiter.limit(position, velocity, command(position))
        assert result.viable
        position, velocity = result.position, result.velocity
        positions.append(position)
        velocities.append(velocity)
        rules.append(Rule(int(result.rules)))
    return Run(scene, start, np.array(positions), np.array(velocities), rules)


def assert_clear(done: Run) -> None:
    clearance = done.clearance
    for name in ("workspace", "table", "body", "itself"):
        assert np.min(getattr(clearance, name)) >= 0.0, name


# --- getting along ----------------------------------------------------------------------------------------------------

ALONG_Y = gripper_down_at(0.6, -0.2, 0.80)


@pytest.mark.parametrize("profile", ["default", "gentle"])
@pytest.mark.parametrize("press_m_s", [0.02, 0.1, 0.3])
@pytest.mark.parametrize(
    ("scene", "against", "rule"),
    [
        (LOW, (0.0, -1.0), Rule.TABLE),
        (TABLE_SCENE, (0.0, -1.0), Rule.WORKSPACE),
        (NEAR, (1.0, 0.0), Rule.WORKSPACE),
        (TABLE_SCENE, (-1.0, 0.0), Rule.WORKSPACE),
        (NEAR, (1.0, -1.0), Rule.WORKSPACE),
    ],
    ids=["table", "floor of the workspace", "far wall", "near wall", "edge of two walls"],
)
def test_a_gripper_that_is_pressed_at_a_limit_gets_along_it(
    scene: Scene, against: tuple[float, float], rule: Rule, press_m_s: float, profile: str
) -> None:
    """As far as without the limit, up to the share that the velocity limits take from all motion; and evenly."""
    command = towards(press_m_s * against[0], 0.1, press_m_s * against[1])
    free = run(OPEN, ALONG_Y, towards(0.0, 0.1, 0.0), profile=profile)
    done = run(scene, ALONG_Y, command, profile=profile)
    assert_clear(done)
    if press_m_s > 0.02:
        assert done.rules[-1] & rule
    # What presses counts in the velocity limits: at 0.3 m/s it leaves less for the way along.
    assert done.moved_m[1] >= free.moved_m[1] * (0.9 if press_m_s < 0.3 else 0.7)
    assert done.back_and_forth(first=60) < 0.005


def test_a_gripper_gets_along_the_side_of_a_block_and_round_its_corner() -> None:
    start = gripper_down_at(0.62, -0.45, 0.75)
    along = run(BLOCK, start, towards(0.05, 0.15, 0.0), periods=90)
    assert_clear(along)
    assert along.rules[-1] & Rule.TABLE
    assert along.moved_m[0] > 0.05 * 3.0 * 0.7
    round_it = run(BLOCK, start, towards(0.05, 0.1, 0.03), periods=150)
    assert_clear(round_it)
    assert round_it.moved_m[1] > 0.4


@pytest.mark.parametrize("command", [towards(-0.1, 0.1, 0.0), turning_free(-0.1, 0.1, 0.0)], ids=["down", "turning"])
def test_a_gripper_gets_along_the_arm_s_own_body(command: Command) -> None:
    done = run(OPEN, gripper_down_at(0.55, 0.0, 0.9), command, periods=110)
    assert_clear(done)
    assert sum(bool(rules & (Rule.BODY | Rule.POSITION)) for rules in done.rules) > 20
    assert done.moved_m[1] > 0.2


@pytest.mark.parametrize(("joint", "sign"), [(3, 1), (5, 1), (5, -1), (0, 1), (0, -1)])
@pytest.mark.parametrize("other", [0, 4, 6])
def test_a_joint_at_its_stop_does_not_hold_the_others(joint: int, sign: int, other: int) -> None:
    if joint == 0:
        other = 5  # the rolls would take over the pan's part in turning the gripper
    start, command = ARM.home_rad.copy(), np.zeros(7)
    stop = (PROFILE.position_upper if sign > 0 else PROFILE.position_lower)[joint]
    start[joint] = stop - sign * 0.05
    command[joint], command[other] = 0.5 * sign, 0.2
    done = run(OPEN, start, lambda _: command, periods=60)
    assert done.rules[-1] & Rule.POSITION
    assert sign * (stop - done.positions[-1, joint]) == pytest.approx(0.0, abs=1e-3)
    np.testing.assert_allclose(done.velocities[-1, other], command[other], rtol=0.1)
    # And no other joint makes up for the one that stands.
    np.testing.assert_allclose(np.delete(done.velocities[-1], [joint, other]), 0.0, atol=0.01)
    assert done.back_and_forth(first=20) < 1e-3


def test_a_gripper_sent_on_past_a_joint_s_stop_gets_along() -> None:
    """The wrist's stop, of which this way of sending knows nothing: the gripper goes on sideways."""
    start = ARM.home_rad.copy()
    start[5] = PROFILE.position_upper[5] - 0.01
    jacobian = kinematics_of(ARM).grip_jacobian(start)
    # Turning down about y presses the wrist; going to the side does not.
    twist = np.array([0.0, 0.1, 0.0, 0.0, 0.3, 0.0])
    command = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(6), twist)
    command[5] = max(command[5], 0.3)
    done = run(OPEN, start, lambda _: command, periods=40)
    assert done.rules[-1] & Rule.POSITION
    assert done.moved_m[1] > 0.1 * 40 * DT * 0.7


# --- coming to rest ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("press_m_s", [0.02, 0.1, 0.3])
@pytest.mark.parametrize(
    ("scene", "against"),
    [
        (LOW, (0.0, 0.0, -1.0)),
        (TABLE_SCENE, (0.0, 0.0, -1.0)),
        (NEAR, (1.0, 0.0, 0.0)),
        (NEAR, (1.0, -1.0, -1.0)),
        (NEAR, (1.0, -1.0, 1.0)),
    ],
    ids=["table", "floor of the workspace", "far wall", "corner below", "corner above"],
)
def test_pressing_straight_at_a_limit_comes_to_rest_and_stays(
    scene: Scene, against: tuple[float, float, float], press_m_s: float
) -> None:
    periods = 120 + round(0.4 / press_m_s / DT)
    done = run(scene, ALONG_Y, towards(*(press_m_s * np.array(against))), periods=periods)
    assert_clear(done)
    assert done.rules[-1] & PLACE
    assert np.all(np.abs(done.velocities[-30:]) < 5e-3)
    assert np.max(np.ptp(done.positions[-30:], axis=0)) < 3e-3
    assert done.back_and_forth(first=periods - 30) < 1e-3


def test_the_way_back_from_a_limit_is_free() -> None:
    pressed = run(LOW, ALONG_Y, towards(0.0, 0.0, -0.1)).positions[-1]
    back = run(LOW, pressed, towards(0.0, 0.0, 0.05), periods=30)
    assert not any(rules & PLACE for rules in back.rules)
    assert back.moved_m[2] > 0.045


# --- what it rests on -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", [TABLE_SCENE, OPEN_SCENE], ids=["table", "open"])
def test_slopes_are_those_of_the_clearances(scene: Scene) -> None:
    rng = np.random.default_rng(3)
    positions = ARM.home_rad + rng.uniform(-0.4, 0.4, (20, 7))
    paths = np.stack([positions, positions + rng.uniform(-1e-9, 1e-9, positions.shape)], axis=1)
    slopes = ClearanceSlopes(scene).of_paths(paths, np.full(len(paths), 5.0))
    model, seen = CollisionModel(scene), set()
    for path, position in enumerate(positions):
        around = model.path_clearances((position + np.vstack([np.zeros(7), 1e-6 * np.eye(7)]))[:, None])
        for row in range(4):
            of_row = np.flatnonzero((slopes.path == path) & (slopes.row == row))
            inside = around[row, 0] < -0.01  # no way out of an obstacle
            if not of_row.size or inside or (row == 2 and around[row, 0] > 0.01):
                continue  # farther off the model understates the distance to the body
            least = of_row[np.argmin(slopes.clearance_m[of_row])]
            assert slopes.clearance_m[least] == pytest.approx(around[row, 0], abs=1e-7)
            numeric = (around[row, 1:] - around[row, 0]) / 1e-6
            np.testing.assert_allclose(slopes.gradient_m[least], numeric, atol=1e-5)
            seen.add(row)
    assert {0, 1, 3} <= seen


def test_the_jacobian_is_that_of_the_grip_site() -> None:
    position = ARM.home_rad + np.random.default_rng(4).uniform(-0.5, 0.5, (10, 7))
    numeric = [
        (grip_position(position + 1e-6 * unit, TORSO_M) - grip_position(position, TORSO_M)) / 1e-6 for unit in np.eye(7)
    ]
    np.testing.assert_allclose(kinematics_of(ARM).grip_jacobian(position)[:, :3], np.stack(numeric, axis=-1), atol=1e-5)


def test_a_limited_row_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    limiter = MotionLimiter(PROFILE, CollisionModel(LOW))
    position = ARM.home_rad + rng.uniform(-0.2, 0.2, (40, 7))
    position = position[limiter.model.clearance(position).least >= REQUIRED_CLEARANCE_M]
    velocity, wanted = np.zeros_like(position), rng.uniform(-3.0, 3.0, position.shape) * PROFILE.velocity
    on_path, scale = rng.random(len(position)) < 0.5, rng.uniform(0.2, 1.0, len(position))
    compared = 0
    for _ in range(8):
        together = limiter.limit(position, velocity, wanted, on_path=on_path, speed_scale=scale)
        for row in np.flatnonzero(together.rules >= Rule.POSITION):
            alone = limiter.limit(
                position[row], velocity[row], wanted[row], on_path=on_path[row], speed_scale=scale[row]
            )
            for one, same in zip(vars(alone).values(), vars(together.row(row)).values(), strict=True):
                np.testing.assert_array_equal(one, same)
            compared += 1
        position, velocity = together.position, together.velocity
    assert compared > 30


@pytest.mark.parametrize("send_periods", [1, 2])
def test_the_filter_slides_and_every_trajectory_ends_at_rest_and_clear(send_periods: int) -> None:
    """The whole filter, at its pace: along the table under pressure, each trajectory clear to its end."""
    settings = FilterSettings(soft_start_s=0.0, send_periods=send_periods)
    arm_filter, command = SafetyFilter(PROFILE, LOW, settings), towards(0.0, 0.1, -0.1)
    now_ns = start_ns = 5_000_000_000
    setpoint = arm_filter.activate(now_ns, JointSample(now_ns, ALONG_Y, np.zeros(7), 0.0)).setpoint
    seen = Rule.NONE
    for period in range(1, 90):
        now_ns = start_ns + round(period * 1e9 / 30)
        arm_filter.on_joint_sample(JointSample(now_ns, setpoint.position, setpoint.velocity, 0.0))
        velocity = command(setpoint.position)
        position = position_after_step(setpoint.position, setpoint.velocity, velocity)
        decision = arm_filter.on_command(now_ns, JointCommand(now_ns, position, velocity))
        setpoint, seen = decision.setpoint, seen | decision.rules
        if decision.trajectory is not None:
            assert not decision.trajectory.points[-1].velocity.any()
            points = np.array([point.position for point in decision.trajectory.points])
            clearance = arm_filter.limiter.model.path_clearance(points)
            assert clearance.table > 0.0
            assert clearance.workspace > REQUIRED_WORKSPACE_M - 1e-9
    assert seen & Rule.TABLE
    moved_m = grip_position(setpoint.position, TORSO_M) - grip_position(ALONG_Y, TORSO_M)
    assert moved_m[1] > 0.2
