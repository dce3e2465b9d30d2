"""CameraInfo messages to camera models and back."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo

from fetch_sim2real.messages.camera_info import camera_model_of
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.ros.stamps import stamp_message

__all__ = ["camera_info_message", "camera_model_of"]


def camera_info_message(camera: CameraModel, stamp_ns: int, frame_id: str) -> CameraInfo:
    """Intrinsics of a rectified camera. CameraInfo says nothing of where the camera is."""
    message = CameraInfo(height=camera.height, width=camera.width, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.stamp = stamp_message(stamp_ns)
    message.header.frame_id = frame_id
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message
