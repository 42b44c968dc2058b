"""What several test files need."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with subsets of the public data sets, laid out as their downloads are."""
    if "AWCL_TEST_DATA" not in os.environ:
        pytest.skip("AWCL_TEST_DATA is not set: the real images are not here")
    return Path(os.environ["AWCL_TEST_DATA"])
