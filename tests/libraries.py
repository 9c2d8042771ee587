"""Libraries that are too large for everybody's machine, for the tests that need them."""

import importlib
import importlib.util
import os
from typing import Any

import pytest


def needed(name: str) -> Any:
    """A library; without it a test is passed over, but fails in continuous integration."""
    if importlib.util.find_spec(name) is not None:
        return importlib.import_module(name)
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and continuous integration must run this test")
    pytest.skip(f"{name} is not installed (make {name})")
