"""A RADIUS server that asks for a password and a one-time code, by team policy from a SQL database."""

from importlib.metadata import version

__version__ = version("radiusd-mfa")
