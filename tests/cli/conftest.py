"""What the tests of commands share: a machine on which `init` was run."""

import pytest

from tests.conftest import Cli


@pytest.fixture
def ready(cli: Cli) -> Cli:
    """The command line of a machine on which `init` was run."""
    assert cli("init").exit_code == 0
    return cli
