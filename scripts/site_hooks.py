"""What the site has beside the pages: the examples, which pages link to as they do in the clone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def on_post_build(config: Any) -> None:
    """Copy ``examples/`` beside the pages (called by mkdocs)."""
    clone = Path(config.config_file_path).parent
    shutil.copytree(clone / "examples", Path(config.site_dir) / "examples", dirs_exist_ok=True)
