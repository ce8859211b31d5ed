"""The commands: parse, call the use case, render."""
