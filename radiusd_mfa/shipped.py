"""Where the files are that come with the program: inside the installed package, or beside it in a checkout."""

from pathlib import Path


def dictionaries() -> Path:
    """Return where the RADIUS dictionaries are: inside the installed package, or beside it in a checkout."""
    return _shipped("dictionaries")


def presets() -> Path:
    """Return where the reviewed team policies are, `NAME.toml` each."""
    return _shipped("policy")


def _shipped(folder: str) -> Path:
    package = Path(__file__).parent
    installed = package / folder
    return installed if installed.is_dir() else package.parent / folder
