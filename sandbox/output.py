"""What is kept of a stream: the first and the last half of a limit; the middle is counted and dropped."""

from __future__ import annotations

from collections import deque


class Kept:
    """Collects a stream in bounded memory."""

    def __init__(self, limit: int) -> None:
        self._head_size = limit - limit // 2
        self._tail_size = limit // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_length = 0
        self.dropped = 0
        """Bytes that will not be in `content`."""

    def add(self, chunk: bytes) -> None:
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail.append(chunk)
        self._tail_length += len(chunk)
        while self._tail_length > self._tail_size:
            first = self._tail.popleft()
            extra = self._tail_length - self._tail_size
            if extra < len(first):
                self._tail.appendleft(first[extra:])
            cut = min(extra, len(first))
            self._tail_length -= cut
            self.dropped += cut

    @property
    def content(self) -> bytes:
        return bytes(self._head) + b"".join(self._tail)
