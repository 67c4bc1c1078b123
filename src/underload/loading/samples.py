"""A few whole answers of a load run, drawn at random: what a service says under load, not only how fast."""

import random
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_BYTES = 1_000_000  # of one body
UNANSWERED = "no answer by the end of the load"


@dataclass
class Sample:
    """One request of a load run and what came back.

    Attributes:
        asked: the method and path, such as "GET /flights/7".
        drawn: what was drawn for the parameters of its URL, whole numbers or percent-encoded text.
        status: the HTTP status, 0 if there was no answer.
        headers: by lower-case name.
        body: as it came over the wire, not decompressed.
        problem: why there was no answer, or "".
    """

    asked: str
    drawn: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = UNANSWERED

    def add_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def add_body(self, data: bytes) -> None:
        if len(self.body) <= MOST_BYTES:
            self.body += data

    def end(self, status: int, problem: str = "") -> None:
        """Note how it ended: with a whole answer, or with a problem."""
        too_long = len(self.body) > MOST_BYTES
        self.status = 0 if too_long else status
        self.problem = f"an answer of over {MOST_BYTES:,} bytes" if too_long else problem
        if self.problem:
            self.body = b""

    def told(self) -> dict[str, Any]:
        """Return the sample as JSON can hold it."""
        return {**asdict(self), "body": b64encode(self.body).decode()}

    @classmethod
    def heard(cls, told: dict[str, Any]) -> "Sample":
        """Return what `told` described."""
        return cls(**{**told, "body": b64decode(told["body"])})


class Reservoir:
    """So many requests of a run, each as likely to be among them as any other.

    Which ones is decided before they are sent, and only then, so that nothing but chance can tell them from
    the rest (Vitter, "Random sampling with a reservoir", algorithm R).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._chance = random.Random()  # of its own: the workload's draws stay those of its seed
        self.samples: list[Sample] = []

    def offer(self, request: bytes, drawn: Mapping[str, Any]) -> Sample | None:
        """Return the sample to fill if this request is one."""
        self._seen += 1
        place = int(self._chance.random() * self._seen)
        if place >= self._size and len(self.samples) >= self._size:
            return None
        sample = Sample(request.partition(b" HTTP/")[0].decode(), drawn)
        if len(self.samples) < self._size:
            self.samples.append(sample)
        else:
            self.samples[place] = sample
        return sample
