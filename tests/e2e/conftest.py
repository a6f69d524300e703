"""The embedded model, converted once for all end-to-end tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory) -> Path:
    """A folder for runs that shares the converted model with later tests of the session."""
    return tmp_path_factory.mktemp("demo_home")


@pytest.fixture
def environment(demo_home) -> dict[str, str]:
    """The environment of a user without a Hub."""
    return {**os.environ, "SFT_TUI_HOME": str(demo_home), "HF_HUB_OFFLINE": "1"}
