"""Signs of life that workers show their parent: that the loop turns, and whether the database does its work."""

import mmap


class Signs:
    """What the workers show of themselves, two octets each, in memory that they share with their parent."""

    def __init__(self, workers: int) -> None:
        self._octets = mmap.mmap(-1, 2 * workers)
        self._seen = bytearray(workers)
        self._still = [0] * workers

    def show(self, number: int, good: bool) -> None:
        """Show that the worker's loop turns, and whether its database does its work."""
        beats, health = 2 * number, 2 * number + 1
        self._octets[beats] = (self._octets[beats] + 1) % 256
        self._octets[health] = not good

    def still(self, number: int) -> int:
        """Look at a worker; return in how many looks in a row its loop stood still."""
        beats = self._octets[2 * number]
        self._still[number] = self._still[number] + 1 if beats == self._seen[number] else 0
        self._seen[number] = beats
        return self._still[number]

    def forget(self, number: int) -> None:
        """Begin anew with one that was started."""
        self._still[number] = 0

    @property
    def good(self) -> bool:
        """Whether the database does its work for all of them."""
        return not any(self._octets[1::2])
