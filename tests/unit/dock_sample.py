"""The example of a plugin of a cloud, as a module that tests can import."""

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).parents[2] / "docs" / "examples" / "dock" / "provision_dock.py"

_spec = importlib.util.spec_from_file_location("provision_dock", _PATH)
assert _spec is not None
assert _spec.loader is not None
dock = importlib.util.module_from_spec(_spec)
sys.modules.setdefault("provision_dock", dock)
_spec.loader.exec_module(dock)
