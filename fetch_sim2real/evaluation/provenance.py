"""What a result came from: which bundle, which code."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Final

from fetch_sim2real import paths

_GIT_LIMIT_S: Final = 10.0
# The loader of bundles knows it too, but brings torch along, for which nobody wants to wait here.
_MANIFEST_FILE: Final = "manifest.json"


def policy_sha256(policy: Path) -> str:
    """Return the hash that identifies a bundle: its manifest's, which holds those of the other files."""
    return hashlib.sha256((policy / _MANIFEST_FILE).read_bytes()).hexdigest()


def git_revision() -> str:
    """Commit of the clone that runs, with "-dirty" where tracked files are changed; "none" outside of a clone."""
    root = paths.clone_root()
    if root is None:
        return "none"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return "none"
    return result.stdout.strip()
