"""What a load is made of: one kind of request, with parts that vary from one sent to the next."""

import json
import math
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any
from urllib.parse import quote, urlsplit

from underload.errors import UnderloadError

# What a URL may hold as it is; the rest, such as a space, is percent-encoded on the way.
_URL_SAFE = "%/?:@!$&'()*+,;=~"


@dataclass(frozen=True)
class Request:
    """One kind of request in a mix. Wherever a list stands, each request draws one of it at random.

    Attributes:
        url: may hold ``{name}`` for each of ``parameters``.
        method: the HTTP method.
        json: a body to send as JSON, or a list of bodies.
        body: a body to send as it is, text or a list of texts.
        headers: header values, each one text or a list of texts.
        weight: how often, relative to the other requests of the mix.
        parameters: values for the URL: a range or a list each, percent-encoded on the way.
    """

    url: str
    method: str = "GET"
    json: Any = None
    body: str | Sequence[str] | None = None
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    weight: float = 1.0
    parameters: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def spec(self) -> dict[str, Any]:
        """Return the request as plain values for the generator.

        Raises:
            UnderloadError: it cannot be sent, such as when a ``{name}`` in the URL has no values.
        """
        if not 0 < self.weight < math.inf:
            raise UnderloadError(f"weight={self.weight} is no share of a mix. Give a number above 0.")
        headers = {name: [str(value) for value in _listed(given)] for name, given in self.headers.items()}
        if self.json is not None and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = ["application/json"]
        parameters = {name: _values(values) for name, values in self.parameters.items()}
        bodies = self._bodies()
        given_no_body = self.json is None and self.body is None
        if not all([*parameters.values(), *headers.values(), bodies or given_no_body]):
            raise UnderloadError(f"{self.url} has a list of values that is empty. Give it at least one.")
        return {
            "method": self.method.upper(),
            "path": self._path(),
            "headers": headers,
            "bodies": bodies,
            "parameters": parameters,
            "weight": self.weight,
        }

    def _path(self) -> str:
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not self.parameters:
            return quote(path, safe=_URL_SAFE)
        samples = {name: _sample(values) for name, values in self.parameters.items()}
        try:
            wanted = {name for _, name, _, _ in string.Formatter().parse(path) if name is not None}
            if unknown := wanted ^ samples.keys():
                raise KeyError(*sorted(unknown))
            path.format(**samples)
        except (ValueError, LookupError) as error:
            raise UnderloadError(
                f"{self.url} and its parameters do not match: {', '.join(map(str, error.args))}. "
                "Give each {name} in the URL a range or a list, as in id=range(1, 100)."
            ) from None
        return quote(path, safe=_URL_SAFE + "{}")

    def _bodies(self) -> list[str]:
        if self.json is not None:
            try:
                return [json.dumps(body) for body in _listed(self.json, list)]
            except (TypeError, ValueError) as error:
                raise UnderloadError(
                    f"{self.url} has a body that JSON cannot hold ({error}). Give plain values."
                ) from None
        bodies = [] if self.body is None else _listed(self.body, (list, tuple))
        if not all(isinstance(body, str) for body in bodies):
            raise UnderloadError(
                f"{self.url} has a body that is not text. Give text, texts in a list, or json=…."
            )
        return bodies


def _listed(given: Any, lists: type | tuple[type, ...] = (list, tuple)) -> list[Any]:
    return list(given) if isinstance(given, lists) else [given]


def _values(values: Any) -> dict[str, list[int]] | list[Any]:
    if isinstance(values, range):
        return {"range": [values.start, values.stop, values.step]} if values else []
    several = isinstance(values, Iterable) and not isinstance(values, str)
    return [_encoded(value) for value in (values if several else [values])]


def _encoded(value: Any) -> int | str:
    return int(value) if isinstance(value, Integral) else quote(str(value), safe="")


def _sample(values: Any) -> Any:
    """Return one of the values as the generator will see it, or none of a list without any."""
    values = values if isinstance(values, range) else _values(values)
    return values[0] if values else ""
