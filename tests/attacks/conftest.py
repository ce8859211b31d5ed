from tests.support.fixtures import daemon, nas, world

__all__ = ["daemon", "nas", "world"]
