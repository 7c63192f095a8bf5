"""What an attempt prints, from its worker's pipe to its log, without a byte of it in Python.

Spliced in the kernel, with pauses: a flood costs the daemon little. What is beyond the cap is
counted and thrown away.
"""

import array
import fcntl
import os
import termios
from contextlib import suppress

import anyio

CAP_BYTES = 10 * 2**20
PAUSE_SECONDS = 0.01
_PIPE_BYTES = 2**20


class Output:
    """The pipe of one worker. Between `begin` and `end` what comes goes to that attempt's log."""

    def __init__(self) -> None:
        self._read, self.write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.write, True)
        # Where the user's pages for pipes are used up, a smaller one only slows a flood.
        with suppress(OSError):
            fcntl.fcntl(self._read, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._path = ""
        self._log: int | None = None
        self._room = 0
        self._dropped = 0

    def started(self) -> None:
        """Close the worker's end here, once the worker has it."""
        os.close(self.write)

    def begin(self, path: str) -> None:
        """What comes from now on belongs to this log. The file is made with the first byte."""
        self._take(self._waiting())
        self._path, self._room, self._dropped = path, CAP_BYTES, 0

    def end(self) -> None:
        """Take what the attempt printed and has not been taken; close its log."""
        self._take(self._waiting())
        if self._log is not None and self._dropped:
            line = f"\n... {self._dropped} more bytes were dropped: a log holds {CAP_BYTES}\n"
            self._append(line.encode())
        if self._log is not None:
            os.close(self._log)
        self._log, self._path, self._room = None, "", 0

    def say(self, line: str) -> None:
        """Add a line of the daemon's to the attempt's log, after what the attempt printed."""
        self._take(self._waiting())
        if self._path and self._opened():
            self._append(f"{line}\n".encode())

    async def drain(self) -> None:
        """Take what comes until nobody has the other end; pauses make a flood cheap."""
        while self._read >= 0:
            try:
                await anyio.wait_readable(self._read)
            except anyio.ClosedResourceError:
                return
            if self._read < 0 or not self._take(_PIPE_BYTES):
                return
            await anyio.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """End, and close what is open; twice does no harm."""
        if self._read < 0:
            return
        self.end()
        anyio.notify_closing(self._read)
        os.close(self._read)
        os.close(self._nothing)
        self._read = -1

    def _waiting(self) -> int:
        size = array.array("i", [0])
        fcntl.ioctl(self._read, termios.FIONREAD, size)
        return size[0]

    def _take(self, most: int) -> bool:
        """Move at most this many bytes on; False at the end of the pipe."""
        while most > 0:
            target, size = self._nothing, most
            if self._room > 0 and self._path and self._opened() and self._log is not None:
                target, size = self._log, min(most, self._room)
            try:
                moved = os.splice(self._read, target, size, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                return True
            except OSError:
                if target == self._nothing:
                    raise
                # A full disk, or a folder that is gone: the rest of this log is lost, not the run.
                self._room = 0
                continue
            if not moved:
                return False
            if target == self._nothing:
                self._dropped += moved
            else:
                self._room -= moved
            most -= moved
        return True

    def _opened(self) -> bool:
        if self._log is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            try:
                self._log = os.open(self._path, flags, 0o600)
                os.lseek(self._log, 0, os.SEEK_END)
            except OSError:
                self._room = 0
                return False
        return True

    def _append(self, data: bytes) -> None:
        if self._log is not None:
            try:
                os.write(self._log, data)
            except OSError:
                return
