"""The motion limiter: laws of a single step, and 100 000 random sequences judged by an independent check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from arm_geometry import OPEN_SCENE, TABLE_SCENE, euclidean_clearance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetch_sim2real.arm.collision import CollisionModel, Scene
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.arm.limits import PROFILES, LimitProfile
from fetch_sim2real.control.limiter import REQUIRED_CLEARANCE_M, REQUIRED_WORKSPACE_M, MotionLimiter, Rule
from fetch_sim2real.timing import COAST_S, CONTROL_PERIOD_S
from fetch_sim2real.types import FloatArray

DT = CONTROL_PERIOD_S
HOME = np.array([0.0, -0.75, 0.0, 1.35, 0.0, np.pi / 2 - 0.6, 0.0])
SLACK = 1e-8  # for rounding, relative on rates, in radians on positions


def limiter(profile: str = "default", scene: Scene = TABLE_SCENE) -> MotionLimiter:
    return MotionLimiter(PROFILES[profile], CollisionModel(scene))


# --- the motion, written down anew ------------------------------------------------------------------------------------


@dataclass
class Motion:
    """B running trajectories: constant acceleration for DT, coast, constant deceleration to rest."""

    start: FloatArray
    start_velocity: FloatArray
    velocity: FloatArray
    coast_s: FloatArray
    ramp_s: FloatArray

    @staticmethod
    def to(
        start: FloatArray,
        start_velocity: FloatArray,
        velocity: FloatArray,
        acceleration: FloatArray,
        coast_s: FloatArray,
    ) -> Motion:
        periods = np.ceil((np.abs(velocity) / acceleration).max(axis=1) / DT * (1 - 1e-9))
        return Motion(start, start_velocity, velocity, coast_s, periods * DT)

    def position(self, t: FloatArray) -> FloatArray:
        """Position (B, 7) at times (B,) after the start."""
        t = t[:, None]
        step = np.clip(t, 0, DT)
        coast = np.clip(t - DT, 0, self.coast_s[:, None])
        ramp = np.clip(t - DT - self.coast_s[:, None], 0, self.ramp_s[:, None])
        ramp_s = np.maximum(self.ramp_s[:, None], 1e-12)
        return (
            self.start
            + self.start_velocity * step
            + (self.velocity - self.start_velocity) / DT * step**2 / 2
            + self.velocity * (coast + ramp - ramp**2 / (2 * ramp_s))
        )

    def speed(self, t: FloatArray) -> FloatArray:
        """Velocity (B, 7) at times (B,)."""
        t = t[:, None]
        ramp_s = np.maximum(self.ramp_s[:, None], 1e-12)
        left = np.clip(1 - (t - DT - self.coast_s[:, None]) / ramp_s, 0, 1)
        stepping = self.start_velocity + (self.velocity - self.start_velocity) / DT * t
        return np.where(t < DT, stepping, self.velocity * np.where(self.ramp_s[:, None] > 0, left, 0.0))

    def brakes_on_path(self, t: FloatArray) -> FloatArray:
        """Whether a brake at ``t`` (B,) stays on the path: in the coast, at whole periods, at rest."""
        whole = np.abs(t / DT - np.round(t / DT)) < 1e-6
        return (t >= DT - 1e-9) & ((t <= DT + self.coast_s) | whole | (t >= self.end_s()))

    def end_s(self) -> FloatArray:
        return DT + self.coast_s + self.ramp_s

    def rows(self, index: FloatArray) -> Motion:
        return Motion(*(values[index] for values in vars(self).values()))

    def replace(self, index: FloatArray, other: Motion) -> None:
        for name, values in vars(self).items():
            values[index] = getattr(other, name)[index]


def assert_inside(positions: FloatArray, profile: LimitProfile, scene: Scene) -> None:
    assert np.all(positions >= profile.position_lower - SLACK)
    assert np.all(positions <= profile.position_upper + SLACK)
    clearance = euclidean_clearance(positions, scene)
    for name in ("workspace", "table", "body", "itself"):
        least = getattr(clearance, name).min()
        assert least >= 0.0, f"{name} violated by {-least * 1e3:.3f} mm"


# --- starts and commands ----------------------------------------------------------------------------------------------


def viable_positions(rng: np.random.Generator, limits: MotionLimiter) -> FloatArray:
    """Configurations (B, 7) to start from at rest: around the working posture, and anywhere if the scene is open."""
    scene, profile = limits.model.scene, limits.profile
    if scene is TABLE_SCENE:
        found = HOME + rng.uniform(-1, 1, (40_000, 7)) * [0.6, 0.5, 0.8, 0.7, 0.8, 0.6, 2.0]
    else:
        span = np.minimum(profile.position_upper, 3.1)
        found = rng.uniform(np.maximum(profile.position_lower, -3.1), span, (40_000, 7))
    clearance = limits.model.clearance(found)
    viable = (clearance.least >= REQUIRED_CLEARANCE_M) & (clearance.workspace >= REQUIRED_WORKSPACE_M)
    viable &= np.all((found > profile.position_lower) & (found < profile.position_upper), axis=1)
    assert viable.sum() > 500
    return found[viable]


KINDS = ("white", "bang-bang", "drift", "to the table", "reversal", "smooth")


def wanted_velocities(
    rng: np.random.Generator,
    kind: FloatArray,
    step: int,
    memory: FloatArray,
    positions: FloatArray,
    profile: LimitProfile,
) -> FloatArray:
    """Commands (B, 7) of each sequence's kind; ``memory`` (B, 7) in [-1, 1] is the sequence's own direction."""
    size = positions.shape
    white = rng.normal(size=size) * 1.5
    flips = rng.random(size) < 0.15
    memory[flips & (kind == 1)[:, None]] *= -1
    choices = [
        white,
        np.sign(memory) * 3.0,
        memory * 2.0,
        np.zeros(size),
        memory * (1.0 if step % 6 < 3 else -1.0) * 1.2,
        memory * np.sin(2 * np.pi * (step / 12.0 + memory[:, :1])),
    ]
    wanted = np.stack(choices)[kind, np.arange(len(kind))] * profile.velocity
    down = np.flatnonzero(kind == 3)
    if down.size:
        base = grip_position(positions[down], 0.3)
        steepest = np.stack(
            [grip_position(positions[down] + 1e-5 * unit, 0.3)[:, 2] - base[:, 2] for unit in np.eye(7)], axis=1
        )
        wanted[down] = -steepest * 1e5 * 4.0 + 0.3 * white[down]
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "scene", "seed"),
    [("default", TABLE_SCENE, 1), ("gentle", TABLE_SCENE, 2), ("default", OPEN_SCENE, 3), ("gentle", OPEN_SCENE, 4)],
    ids=["default-table", "gentle-table", "default-open", "gentle-open"],
)
def test_no_sequence_leaves_the_limits(profile: str, scene: Scene, seed: int) -> None:
    """25 000 sequences of 15 commands in each case, one in five with jitter in when the commands arrive."""
    count, steps, chunk = 25_000, 15, 5_000
    rng = np.random.default_rng(seed)
    limits = limiter(profile, scene)
    acceleration, fastest = limits.profile.acceleration, limits.profile.velocity
    pool = viable_positions(rng, limits)
    seen, changed, kept = 0, 0, 0
    for _ in range(count // chunk):
        position = pool[rng.integers(len(pool), size=chunk)]
        velocity = np.zeros_like(position)
        kind = rng.integers(len(KINDS), size=chunk)
        jittery = rng.random(chunk) < 0.2
        memory = rng.uniform(-1, 1, position.shape)
        motion = Motion.to(position, velocity, velocity.copy(), acceleration, np.zeros(chunk))
        on_path = np.ones(chunk, dtype=bool)
        age = np.zeros(chunk)  # of the running trajectories at the moment of the command
        for step in range(steps):
            wanted = wanted_velocities(rng, kind, step, memory, position, limits.profile)
            result = limits.limit(position, velocity, wanted, on_path=on_path)
            assert np.all(result.viable | ~on_path)

            # What came out, judged without the limiter's means.
            moved = result.viable
            assert np.all(np.abs(result.velocity[moved]) <= fastest * (1 + SLACK))
            change = np.abs(result.velocity - velocity)[moved]
            assert np.all(change <= acceleration * DT * (1 + SLACK))
            ahead = Motion.to(position, velocity, result.velocity, acceleration, np.where(result.braking, 0.0, COAST_S))
            assert np.all(np.abs(ahead.velocity[moved]) <= acceleration * ahead.ramp_s[moved, None] * (1 + SLACK))
            np.testing.assert_allclose(result.position, ahead.position(np.full(chunk, DT)), atol=1e-12)
            followed = ahead.rows(np.arange(chunk))
            if not moved.all():  # keep the running trajectory
                kept += int((~moved).sum())
                followed.replace(~moved, motion)
            age = np.where(moved, 0.0, age)
            motion = followed

            # Somewhere between now and the end of the tail for half of them, all along the whole path for a few.
            half = rng.permutation(chunk)[: chunk // 2]
            somewhere = age[half] + rng.random(chunk // 2) * np.maximum(motion.end_s() - age, 0.0)[half]
            few = np.repeat(rng.integers(chunk, size=20), 40)
            along = np.tile(np.linspace(0.0, 1.0, 40), 20) * motion.end_s()[few]
            times = np.concatenate([somewhere, along])
            assert_inside(motion.rows(np.concatenate([half, few])).position(times), limits.profile, scene)

            waited = np.full(chunk, DT)
            waited[jittery] *= rng.choice([0.4, 0.9, 1.0, 1.3, 1.9, 2.5, 4.0], jittery.sum()) * rng.uniform(
                0.8, 1.2, jittery.sum()
            )
            age = age + waited
            position, velocity, on_path = motion.position(age), motion.speed(age), motion.brakes_on_path(age)
            seen += chunk
            changed += int((result.rules >= Rule.POSITION).sum())
        assert_inside(motion.position(motion.end_s()), limits.profile, scene)
    # The sequences did run into the walls, and hardly ever had nowhere to go.
    assert changed > 0.03 * seen
    assert kept < 0.02 * seen
    print(
        f"\n{profile}: {seen} steps, {changed / seen:.1%} cut by a wall, {kept / seen:.3%} left the trajectory as it is"
    )


@pytest.mark.parametrize("profile", ["default", "gentle"])
def test_feasible_sequences_pass_bit_for_bit(profile: str) -> None:
    """Smooth motions in the middle of the workspace, inside the limits with the braking tail: nothing is changed."""
    count, steps = 2_000, 30
    rng = np.random.default_rng(7)
    limits = limiter(profile)
    position = HOME + rng.uniform(-1, 1, (count, 7)) * 0.1
    velocity = np.zeros_like(position)
    # Sinusoids of one to two seconds that start from rest, below the limits on velocity and acceleration.
    rate = 2 * np.pi / rng.uniform(1.0, 2.0, (count, 1))
    peak = np.minimum(limits.profile.velocity, limits.profile.acceleration / rate)
    peak = peak * rng.uniform(-1, 1, position.shape) * 0.15
    untouched = np.ones(count, dtype=bool)
    for step in range(1, steps + 1):
        wanted = peak * np.sin(rate * step * DT)
        result = limits.limit(position, velocity, wanted)
        same = np.all(result.velocity == wanted, axis=1)
        same &= np.all(result.position == position + 0.5 * (velocity + wanted) * DT, axis=1)
        assert np.all(same == (result.rules == 0))
        untouched &= same
        position, velocity = result.position, result.velocity
    assert untouched.mean() >= 0.99


# --- single steps -----------------------------------------------------------------------------------------------------

LIMITS = limiter()
OPEN_LIMITS = limiter(scene=OPEN_SCENE)
unit = st.floats(-1.0, 1.0, allow_subnormal=False)
units = arrays(np.float64, 7, elements=unit)
REST = np.zeros(7)


def reachable(direction: FloatArray, periods: int) -> tuple[FloatArray, FloatArray]:
    """A state that the limiter itself led to: ``periods`` of full speed in ``direction`` from home."""
    position, velocity = HOME.copy(), REST
    for _ in range(periods):
        result = LIMITS.limit(position, velocity, direction * LIMITS.profile.velocity)
        position, velocity = result.position, result.velocity
    return position, velocity


@settings(max_examples=60, deadline=None)
@given(direction=units, periods=st.integers(0, 12), wanted=units, gain=st.sampled_from([0.1, 1.0, 30.0, 1e6]))
def test_rate_limits_scale_the_whole_vector(
    direction: FloatArray, periods: int, wanted: FloatArray, gain: float
) -> None:
    position, velocity = reachable(direction, periods)
    wanted = wanted * gain
    result = LIMITS.limit(position, velocity, wanted)
    step = LIMITS.profile.acceleration * DT
    assert np.all(np.abs(result.velocity) <= LIMITS.profile.velocity * (1 + SLACK))
    assert np.all(np.abs(result.velocity - velocity) <= step * (1 + SLACK))
    capped = wanted / max(1.0, float(np.max(np.abs(wanted) / LIMITS.profile.velocity)))
    change = capped - velocity
    if result.rules < Rule.POSITION:
        # One factor for the change of all joints.
        factor = min(1.0, 1.0 / max(float(np.max(np.abs(change) / step)), 1e-300))
        np.testing.assert_allclose(result.velocity, velocity + factor * change, rtol=1e-6, atol=1e-9)
    if result.rules == 0:
        np.testing.assert_array_equal(result.velocity, wanted)


@settings(max_examples=60, deadline=None)
@given(direction=units, periods=st.integers(0, 15))
def test_braking_retraces_its_ramp_and_ends_exactly_at_rest(direction: FloatArray, periods: int) -> None:
    position, velocity = reachable(direction, periods)
    ramp = int(np.ceil(np.max(np.abs(velocity) / LIMITS.profile.acceleration) / DT * (1 - 1e-9)))
    rest = position + velocity * ramp * DT / 2
    for left in range(ramp, 0, -1):
        result = LIMITS.brake(position, velocity)
        assert result.viable
        assert result.braking
        np.testing.assert_allclose(result.velocity, velocity * (left - 1) / left, atol=1e-12)
        position, velocity = result.position, result.velocity
    np.testing.assert_array_equal(velocity, REST)
    np.testing.assert_allclose(position, rest, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(direction=units, periods=st.integers(0, 12), wanted=units)
def test_a_batch_gives_what_single_calls_give(direction: FloatArray, periods: int, wanted: FloatArray) -> None:
    position, velocity = reachable(direction, periods)
    wanted = wanted * LIMITS.profile.velocity * 2
    single = LIMITS.limit(position, velocity, wanted)
    batch = LIMITS.limit(np.stack([HOME, position]), np.stack([REST, velocity]), np.stack([REST, wanted]))
    np.testing.assert_array_equal(batch.velocity[1], single.velocity)
    np.testing.assert_array_equal(batch.position[1], single.position)
    assert batch.rules[1] == single.rules


@pytest.mark.parametrize("scene", [TABLE_SCENE, OPEN_SCENE], ids=["table", "open"])
def test_what_passes_is_clear_all_along_at_any_speed(scene: Scene) -> None:
    """Long fast tails: whatever the limiter lets pass keeps 1.5 mm on the way, however few samples it looked at."""
    rng = np.random.default_rng(11)
    limits = limiter("gentle", scene)
    pool = viable_positions(rng, limits)
    position = pool[rng.integers(len(pool), size=6_000)]
    # Some joints fast, others slow: all at full speed leave any workspace.
    velocity = limits.profile.velocity * rng.uniform(-1, 1, position.shape) * (rng.random(position.shape) < 0.35)
    result = limits.limit(position, velocity, velocity, on_path=False)
    passed = np.flatnonzero((result.rules == 0) & velocity.any(axis=1))
    assert len(passed) > 200
    motion = Motion.to(position, velocity, velocity, limits.profile.acceleration, np.full(len(position), COAST_S))
    motion = motion.rows(passed)
    assert np.quantile(motion.ramp_s, 0.9) > 0.5
    for share in np.linspace(0.0, 1.0, 25):
        clearance = euclidean_clearance(motion.position(share * motion.end_s()), scene)
        assert min(clearance.table.min(), clearance.body.min(), clearance.itself.min()) > 0.0015
        assert clearance.workspace.min() >= 0.0


def test_a_reversal_within_the_period_is_checked_at_its_peak() -> None:
    """Both ends of the step are inside the limit, the turning point between them is not."""
    position, velocity, wanted = HOME.copy(), np.zeros(7), np.zeros(7)
    velocity[0], wanted[0] = 0.04, -0.04
    peak = velocity[0] * DT / 4
    for margin, expected in ((peak * 0.9, Rule.POSITION), (peak * 1.1, Rule.NONE)):
        position[0] = OPEN_LIMITS.profile.position_upper[0] - margin
        assert OPEN_LIMITS.limit(position, velocity, wanted, on_path=False).rules == expected


def test_a_limited_command_limited_again_is_unchanged() -> None:
    wanted = LIMITS.profile.velocity * [1, -1, 1, -1, 1, -1, 1]
    first = LIMITS.limit(HOME, REST, wanted)
    assert first.rules
    again = LIMITS.limit(HOME, REST, first.velocity)
    assert again.rules == 0
    np.testing.assert_array_equal(again.velocity, first.velocity)


def test_rest_passes_everywhere_that_is_viable() -> None:
    positions = viable_positions(np.random.default_rng(5), OPEN_LIMITS)[:300]
    result = OPEN_LIMITS.limit(positions, np.zeros_like(positions), np.zeros_like(positions))
    assert not result.rules.any()
    np.testing.assert_array_equal(result.position, positions)


def test_speed_scale_lowers_the_velocity_limit() -> None:
    position, velocity = HOME, REST
    for _ in range(30):
        result = LIMITS.limit(position, velocity, np.array([0, 0, 0, 0, 0, 0, 9.0]), speed_scale=0.2)
        position, velocity = result.position, result.velocity
    assert velocity[6] == pytest.approx(0.2 * LIMITS.profile.velocity[6])


@pytest.mark.parametrize(
    ("joint", "sign"), [(0, 1), (0, -1), (1, 1), (3, 1), (3, -1), (5, 1), (5, -1), (2, 1), (4, -1), (6, 1)]
)
def test_driving_at_a_position_limit_stops_short_of_it(joint: int, sign: int) -> None:
    """Full speed at each end of each joint: at rest at last, near the limit or before something in the way."""
    wanted = np.zeros(7)
    wanted[joint] = 9.0 * sign
    position, velocity = HOME, REST
    for _ in range(400):
        result = OPEN_LIMITS.limit(position, velocity, wanted)
        position, velocity = result.position, result.velocity
        bound = OPEN_LIMITS.profile.position_upper if sign > 0 else OPEN_LIMITS.profile.position_lower
        assert np.all(sign * position <= sign * bound + SLACK) or joint != np.argmax(sign * (position - bound))
    # In front of an obstacle the others may still creep, as they make way for what is left of the motion.
    assert np.all(np.abs(velocity) < 0.05 * OPEN_LIMITS.profile.velocity)
    assert result.rules & ~(Rule.VELOCITY | Rule.ACCELERATION)
    if result.rules & Rule.POSITION:
        assert abs(position[joint] - bound[joint]) < 0.02


def test_pressing_down_stops_above_the_table() -> None:
    """Commands that push the fingers into the table leave the tips within a centimetre above it, not lower."""
    position, velocity = HOME, REST
    low = limiter(scene=Scene(0.35, (0.46, -0.32, 0.60), (0.82, 0.32, 1.0), TABLE_SCENE.tables))
    for _ in range(300):
        steepest = np.array(
            [grip_position(position + 1e-6 * u, 0.35)[2] - grip_position(position, 0.35)[2] for u in np.eye(7)]
        )
        result = low.limit(position, velocity, -steepest * 1e6 * 0.4)
        position, velocity = result.position, result.velocity
    clearance = euclidean_clearance(position[None], low.model.scene).table[0]
    assert 0.0 <= clearance < 0.01
    assert result.rules & Rule.TABLE


def test_off_the_path_braking_is_checked_and_may_be_found_wanting() -> None:
    """A reference that runs at a wall faster than it can stop, which no trajectory of the filter leads to."""
    position = HOME.copy()
    position[0] = LIMITS.profile.position_upper[0] - 0.01
    velocity = np.zeros(7)
    velocity[0] = LIMITS.profile.velocity[0]
    result = LIMITS.limit(position, velocity, velocity, on_path=False)
    assert not result.viable
    assert not LIMITS.brake(position, velocity, on_path=False).viable
    assert LIMITS.limit(HOME, velocity * 0.1, velocity * 0.1, on_path=False).viable
