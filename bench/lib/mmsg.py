"""Many datagrams with one system call: sendmmsg(2) and recvmmsg(2), which Python's socket module does not have.

Owns the memory that the kernel reads and writes. For Linux on 64 bits.
"""

import ctypes
import struct
from collections.abc import Sequence
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_LIBC.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_VECTOR: Final = struct.Struct("=QQ")
# struct mmsghdr: name, namelen, iov, iovlen, control, controllen, flags; msg_len
_HEADER: Final = struct.Struct("=QI4xQQQQi4xI4x")
_DONTWAIT: Final = 0x40
AT_ONCE: Final = 64
_ROOM: Final = 512


def _address(memory: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory))


def _headers(address: int, lengths: Sequence[int]) -> tuple[bytearray, bytearray]:
    vectors, headers = bytearray(_VECTOR.size * len(lengths)), bytearray(_HEADER.size * len(lengths))
    vectors_at = _address(vectors)
    for index, length in enumerate(lengths):
        _VECTOR.pack_into(vectors, index * _VECTOR.size, address, length)
        at = vectors_at + index * _VECTOR.size
        _HEADER.pack_into(headers, index * _HEADER.size, 0, 0, at, 1, 0, 0, 0, 0)
        address += length
    return vectors, headers


class Outgoing:
    """Datagrams that lie ready."""

    def __init__(self, datagrams: Sequence[bytes]) -> None:
        self._octets = bytearray(b"".join(datagrams) or b"\0")
        self._vectors, self._headers = _headers(_address(self._octets), [len(one) for one in datagrams])
        self._at = _address(self._headers) if datagrams else 0

    def send(self, descriptor: int, first: int, count: int) -> int:
        """Send datagrams first .. first+count-1 on a connected socket; return how many the kernel took."""
        sent = _LIBC.sendmmsg(descriptor, self._at + first * _HEADER.size, count, _DONTWAIT)
        return max(0, int(sent))


class Incoming:
    """Room for what arrives."""

    def __init__(self) -> None:
        self._octets = bytearray(_ROOM * AT_ONCE)
        self._vectors, self._headers = _headers(_address(self._octets), [_ROOM] * AT_ONCE)
        self._at = _address(self._headers)
        self._lengths = memoryview(self._headers).cast("I")

    def receive(self, descriptor: int) -> list[bytes]:
        """Return what has arrived on a socket, at most 64 datagrams."""
        got = _LIBC.recvmmsg(descriptor, self._at, AT_ONCE, _DONTWAIT, None)
        octets, lengths = self._octets, self._lengths
        return [bytes(octets[at * _ROOM : at * _ROOM + lengths[at * 16 + 14]]) for at in range(got)]
