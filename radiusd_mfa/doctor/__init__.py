"""Finds out what `doctor` reports: looks at files, the machine, the database and the server, each for itself.

What can't be looked at becomes a fact of its own, and keeps nothing else from being looked at.
"""
