import pytest

from fashion.pipelines import log


@pytest.fixture(autouse=True)
def lines_on_the_terminal():
    """As every job begins."""
    log.show()
