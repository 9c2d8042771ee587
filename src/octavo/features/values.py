"""What a feature value is beside its number: its status and its age."""

from enum import IntEnum


class FeatureStatus(IntEnum):
    """How a value came to stand where it stands; one byte in records."""

    PRESENT = 0
    STALE = 1
    """Older than its time to live: the model is given NaN."""
    MISSING = 2
    """Nothing is known: the model is given NaN, or 0 for a count."""
    DEFAULT = 3
    """A declared default stood in, because the store could not be read."""

    @property
    def word(self) -> str:
        """As it stands in answers and pages."""
        return self.name.lower()
