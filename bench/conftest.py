"""Puts this folder on the import path, as it is when a script in it runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
