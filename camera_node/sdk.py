"""The RealSense SDK, imported only when a camera is wanted."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fetch_sim2real.errors import SetupError


def realsense() -> Any:
    """Return the module pyrealsense2; SetupError that says how to get it."""
    try:
        return import_module("pyrealsense2")
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "pyrealsense2":
            raise SetupError(
                "pyrealsense2, the RealSense SDK, is not installed: make venv EXTRAS=realsense, or "
                "pip install pyrealsense2"
            ) from error
        raise SetupError(
            f"pyrealsense2, the RealSense SDK, cannot be loaded ({error}): it needs libusb, "
            "apt-get install libusb-1.0-0"
        ) from error
