"""What many tests need: a seed, small galaxies, and the real ones where they are."""

from pathlib import Path

import pytest
from blobs import blobs

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared():
    """The folder of real galaxies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real galaxies not here")
    return SHARED


@pytest.fixture(scope="session")
def galaxies():
    """Sixty blobs of three classes, 64 px, three quarters of them for training."""
    return blobs()
