"""What a notebook that is graded may use."""

from dataclasses import dataclass

MB = 1_000_000
GB = 1000 * MB


@dataclass(frozen=True)
class Limits:
    """What one notebook may use. Sizes are in bytes, times in seconds.

    Attributes:
        wall_seconds: from the start of the kernel to the end of its last cell.
        cell_seconds: for a cell; after that it is interrupted, as by the stop button.
        answer_seconds: until the kernel speaks when it should: after an interrupt, and at the end of a cell.
        cpu_seconds: of processor time, a process.
        memory: of all processes together, as they are resident; a notebook that exceeds it is ended.
        data: that one process may reserve (RLIMIT_DATA), stacks of threads included; then MemoryError.
        processes: at once; a notebook that exceeds it is ended.
        threads: of all processes together (RLIMIT_NPROC); then a thread or process cannot be started.
        wanting: threads that want a core at a time, over some seconds; a notebook that exceeds it is ended.
        file: of one file that is written.
        files: that a process may have open, sockets included.
        scratch: of all files together, in the only directory that can be written to.
        shared: of memory shared through /dev/shm.
        stored: that its database may grow by on disk, its log and sorting included.
    """

    wall_seconds: float = 600
    cell_seconds: float = 120
    answer_seconds: float = 5
    cpu_seconds: int = 300
    memory: int = 4 * GB
    data: int = 3 * GB
    processes: int = 64
    threads: int = 512
    wanting: int = 48
    file: int = 256 * MB
    files: int = 8192
    scratch: int = 256 * MB
    shared: int = 64 * MB
    stored: int = 3 * GB
