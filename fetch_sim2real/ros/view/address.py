"""Where the view listens unless told otherwise."""

from __future__ import annotations

import ipaddress
from typing import Final

LOOPBACK: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8484
FOXGLOVE_PORT: Final = 8765  # what Foxglove's app suggests


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
