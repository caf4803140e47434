"""Where real exported agents lie, if there are any: they are no part of the project."""

import os
from pathlib import Path
from typing import Final

BESIDE_THE_REPOSITORY: Final = Path(__file__).resolve().parents[3] / "shared" / "agents"
AGENTS_FOLDER: Final = Path(os.environ.get("AGENTS_DIR") or BESIDE_THE_REPOSITORY)
