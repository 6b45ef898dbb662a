"""A clock that tests set, for the processes that are started with its environment: clock.c."""

import mmap
import pathlib
import struct

import devices


class Clock:
    """Time that runs `rate` times as fast, and a machine that can be suspended."""

    def __init__(self, directory, rate=1):
        directory = pathlib.Path(directory)
        library = devices.compiled(directory, "clock")
        path = directory / "suspended"
        path.write_bytes(struct.pack("q", 0))
        with path.open("r+b") as file:
            self.page = mmap.mmap(file.fileno(), 8)
        self.environment = {
            "LD_PRELOAD": str(library),
            "RATEL_CLOCK_RATE": str(rate),
            "RATEL_CLOCK_SUSPENDED": str(path),
        }

    def suspend(self, seconds):
        """The machine was suspended for so long, and is awake again."""
        (before,) = struct.unpack("q", self.page[:8])
        self.page[:8] = struct.pack("q", before + seconds)
