"""crypt(3) of the machine, for the hashes that Linux makes: the one that knows yescrypt, and the quickest for the rest.

Owns the call. Which hashes may be given to it, and at what cost, is `local`'s to know.
"""

import ctypes
import errno
from functools import lru_cache
from typing import Final

_LIBRARY: Final = "libcrypt.so.1"
# struct crypt_data of libxcrypt 4 (crypt.h); glibc's own, before it, asks for more, and is not asked for anything.
_SCRATCH: Final = 32_768
_YESCRYPT: Final = "$y$j75$./"
"""The cheapest setting that tells whether yescrypt is known: 4 ms."""


def digest(password: bytes, stored: str) -> str | None:
    """Return the hash of a password with the scheme, cost and salt of `stored`; None: this machine can't.

    `password` holds no NUL. Takes as long as the hash costs, without the interpreter's lock: other threads go on.
    Raises MemoryError.
    """
    crypt = _crypt_r()
    if crypt is None:
        return None
    scratch = ctypes.create_string_buffer(_SCRATCH)
    ctypes.set_errno(0)
    made = crypt(password, stored.encode("ascii"), scratch)
    # A hash that failed begins with an asterisk (crypt(3)), so that it is equal to no stored one.
    if made is not None and not made.startswith(b"*"):
        return str(made, "ascii")
    if ctypes.get_errno() == errno.ENOMEM:
        raise MemoryError("crypt(3) has no memory for the hash")
    return None


@lru_cache(maxsize=1)
def knows_yescrypt() -> bool:
    """Whether hashes of yescrypt can be checked here."""
    return digest(b"", _YESCRYPT) is not None


@lru_cache(maxsize=1)
def _crypt_r() -> "ctypes._NamedFuncPointer | None":
    """Return crypt_r of libxcrypt, None where there is another library or none."""
    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
        crypt = library.crypt_r
        _ = library.crypt_gensalt_ra  # libxcrypt has it and glibc has not: the scratch of glibc is larger
    except (OSError, AttributeError):
        return None
    crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]
    crypt.restype = ctypes.c_char_p
    return crypt
