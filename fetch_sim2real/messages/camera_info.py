"""Camera models as sensor_msgs/CameraInfo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fetch_sim2real.messages.stamps import encode_stamp
from fetch_sim2real.perception.camera import CameraModel
from fetch_sim2real.perception.distortion import LensDistortion

if TYPE_CHECKING:
    from sensor_msgs.msg import CameraInfo


def decode_camera_info(message: Any) -> CameraModel:
    """Return the camera; ObservationError where its numbers are impossible or its distortion model is unknown.

    How much its lens distorts is judged where a picture is used (``perception.preprocess``).
    """
    fx, _, cx, _, fy, cy = (float(value) for value in message.k[:6])
    distortion = LensDistortion.named(str(message.distortion_model), message.d)
    return CameraModel(int(message.width), int(message.height), fx, fy, cx, cy, distortion)


def encode_camera_info(camera: CameraModel, stamp_ns: int, frame_id: str) -> CameraInfo:
    """Return the intrinsics of a rectified camera. CameraInfo says nothing of where the camera is."""
    from sensor_msgs.msg import CameraInfo

    message = CameraInfo(height=camera.height, width=camera.width, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.stamp = encode_stamp(stamp_ns)
    message.header.frame_id = frame_id
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message
