"""A function of yours as a policy: it gets what a robot has and says where the gripper goes."""

import numpy as np

import fetch_sim2real as fs
from fetch_sim2real.arm.kinematics import grip_position

TORSO_HEIGHT_M = 0.35


def straight_to_the_goal(now: fs.Sensed) -> np.ndarray:
    """Move the gripper towards the goal by the measured joints; pictures, in now.frame, are not needed for that."""
    way_m = now.goal_m - grip_position(now.joints.position, TORSO_HEIGHT_M)
    return np.array([*np.clip(way_m / 0.05, -1.0, 1.0), 0.0])


def main(most_steps: int | None = None) -> None:
    result = fs.run_episode(straight_to_the_goal, task="reach", world="nominal", seed=3, most_steps=most_steps)
    print(f"{'success' if result.success else 'failure'}, {100 * result.distance_m:.1f} cm from the goal")


if __name__ == "__main__":
    main()
