"""Sockets, threads and the pipeline of a sign-in."""
