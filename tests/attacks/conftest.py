from tests.support.clock import clock
from tests.support.fixtures import daemon, nas, world

__all__ = ["clock", "daemon", "nas", "world"]
