from tests.support.clock import clock
from tests.support.fixtures import daemon, nas, world
from tests.support.sites import node, site

__all__ = ["clock", "daemon", "nas", "node", "site", "world"]
