"""Ask a policy about pictures of your own camera: one frame in, one action out."""

import numpy as np

import fetch_sim2real as fs
from fetch_sim2real.arm.default import ARM


def main() -> None:
    policy = fs.load_policy("push")
    policy.reset()  # where an episode begins

    # Stand-ins for what your drivers give: RGB, and depth in millimetres that is aligned to it, 0 where there is none.
    rgb = np.full((480, 640, 3), 128, np.uint8)
    depth_mm = np.full((480, 640), 1100, np.uint16)
    camera = fs.CameraModel(width=640, height=480, fx=615.0, fy=615.0, cx=319.5, cy=239.5)
    joints = dict(zip(ARM.joint_names, ARM.home_rad, strict=True)) | {ARM.gripper_joints[0]: 0.0}  # rad, and m

    action = policy.act(rgb, depth_mm, joints, goal=(0.65, 0.10, 0.745), camera=camera)
    print("gripper x, y, z and fingers, as shares of a full step:", action.round(3))


if __name__ == "__main__":
    main()
