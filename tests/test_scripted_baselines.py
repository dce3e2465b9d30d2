"""The scripted baselines, position by position."""

from __future__ import annotations

import pytest
import torch

from fetch_sim2real.tasks.pick_and_place import scripted as pick_and_place
from fetch_sim2real.tasks.push import scripted as push
from fetch_sim2real.tasks.scripted_baseline import EstimatedState

OBJECT_M = torch.tensor([0.60, 0.00, 0.745])
GOAL_M = torch.tensor([0.60, 0.20, 0.745])


def estimated(grip_m: tuple[float, ...], coming_m: tuple[float, ...] = (0.0, 0.0, 0.0)) -> EstimatedState:
    return EstimatedState(
        torch.tensor([grip_m]), {"block": OBJECT_M[None]}, GOAL_M[None], torch.zeros(1), torch.tensor([coming_m])
    )  # fmt: skip


def test_motion_on_its_way_counts_as_made() -> None:
    high = push(estimated((0.50, -0.20, 0.85), coming_m=(0.03, 0.04, -0.01)))
    torch.testing.assert_close(high, push(estimated((0.53, -0.16, 0.84))))


def test_the_object_goes_ahead_of_a_gripper_that_pushes() -> None:
    """5 cm before the goal, with 4 cm of pushing on their way, a centimetre is left: that is to stay."""
    near = EstimatedState(
        torch.tensor([[0.60, 0.105, 0.757]]), {"block": torch.tensor([[0.60, 0.15, 0.745]])}, GOAL_M[None],
        torch.zeros(1), torch.tensor([[0.0, 0.04, 0.0]]),
    )  # fmt: skip
    assert push(near)[0, 1] == pytest.approx(0.0, abs=1e-6)
    assert push(near._replace(coming_m=torch.zeros(1, 3)))[0, 1] > 0.2


def test_a_gripper_above_pushes_nothing() -> None:
    before, after = (push(estimated((0.60, y, 0.83), coming_m=(0.0, c, 0.0))) for y, c in ((-0.05, 0.04), (-0.01, 0.0)))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("seen_below_m", [0.0, 0.03, 0.06])
def test_a_block_that_its_fingers_hide_is_not_let_go(seen_below_m: float) -> None:
    """It is seen below where it is held, and is carried as if it were no more than 2 cm from the grip site."""
    grip_m, goal_m = torch.tensor([[0.60, 0.00, 0.90]]), torch.tensor([[0.60, 0.20, 0.90]])
    seen_m = grip_m - torch.tensor([[0.0, 0.0, seen_below_m]])
    held = EstimatedState(grip_m, {"block": seen_m}, goal_m, torch.tensor([0.025]), torch.zeros(1, 3))
    action = pick_and_place(held)[0]
    assert action[3] == -1.0 and action[1] == 1.0
    at_goal = pick_and_place(held._replace(goal_m=grip_m))[0]
    # 2 cm by the baseline's gain, in units of an action's 2 cm.
    assert at_goal[3] == -1.0 and 0.0 <= at_goal[2] <= 0.12 + 1e-6
    # Fingers that have closed on nothing open again.
    elsewhere_m = grip_m + torch.tensor([[0.2, 0.0, 0.0]])
    assert pick_and_place(held._replace(finger_m=torch.zeros(1), objects_m={"block": elsewhere_m}))[0, 3] == 1.0
