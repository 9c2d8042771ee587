"""Secrets of the project that turn up in what is kept of others' words: replaced by the references to them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from octavo.config import Config
from octavo.errors import OctavoError
from octavo.stores.urls import secret

_REFERENCE = re.compile(r"\b(?:env:[A-Za-z_][A-Za-z0-9_]*|file:[^\s&?#'\"]+)")
_SHORTEST = 6
"""Shorter values are not looked for: they would be found everywhere."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Replaces secrets in text.

    Parameters
    ----------
    references : mapping of secret to its reference
    """

    references: Mapping[str, str]

    @classmethod
    def of(cls, config: Config) -> "Redaction":
        """The secrets that a project's settings refer to, as far as this process can resolve them."""
        found: dict[str, str] = {}
        for reference in _references(config):
            try:
                value = secret(reference)
            except OctavoError:  # it is not set here, so it cannot turn up here
                continue
            if len(value) >= _SHORTEST:
                found[value] = reference
        return cls(dict(sorted(found.items(), key=lambda item: -len(item[0]))))

    def text(self, value: str) -> str:
        """A text with each secret replaced by its reference."""
        for hidden, reference in self.references.items():
            value = value.replace(hidden, reference)
        return value

    def texts(self, values: Mapping[str, str]) -> dict[str, str]:
        """As `text`, for parameters or tags."""
        return {name: self.text(value) for name, value in values.items()}

    def data(self, data: bytes) -> bytes:
        """As `text`, for what is written in UTF-8."""
        for hidden, reference in self.references.items():
            data = data.replace(hidden.encode(), reference.encode())
        return data


def _references(config: Config) -> Iterator[str]:
    for section in fields(config):
        settings = getattr(config, section.name)
        if section.name == "root":
            continue
        for setting in fields(settings):
            value = getattr(settings, setting.name)
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str):
                    yield from _REFERENCE.findall(text)
