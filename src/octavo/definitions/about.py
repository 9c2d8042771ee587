"""What is said of a feature beside how it is computed: for whom it is, what stands in for it, what it should look like.

Every constructor of aggregates takes these as keyword arguments, and so do request fields and on-demand features.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from octavo.definitions.types import DType
from octavo.errors import InvalidDefinition, NotFound

Category = str | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the values of a feature should be; made by `expect`. Checked over what is served and what is trained on.

    Attributes
    ----------
    minimum, maximum : float or None
        Both are allowed values themselves.
    categories : tuple of str or float
        The only values there should be; any if empty.
    nulls : float or None
        The largest share without a value of its own, in [0, 1]; where a default stands in there is none.
    outside : float
        The largest share of the values there are that may lie outside of the range or the categories.
    """

    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[Category, ...] = ()
    nulls: float | None = None
    outside: float = 0.0

    def __post_init__(self) -> None:
        if (self.minimum, self.maximum, self.categories, self.nulls) == (None, None, (), None):
            raise InvalidDefinition("an expectation says nothing: give minimum, maximum, categories or nulls")
        for bound in (self.minimum, self.maximum):
            if bound is not None and math.isnan(bound):
                raise InvalidDefinition("an expectation's minimum and maximum are numbers, not NaN")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise InvalidDefinition(f"no value is at least {self.minimum:g} and at most {self.maximum:g}; swap them")
        for name, share in (("nulls", self.nulls), ("outside", self.outside)):
            if share is not None and not 0 <= share <= 1:
                raise InvalidDefinition(f"{name}={share!r} is no share: write {name}=0.05 for at most 5 %")
        if self.categories and (self.minimum, self.maximum) != (None, None):
            raise InvalidDefinition("an expectation has either categories or a range, not both")

    def fits(self, dtype: DType) -> bool:
        """Whether it can be expected of values of a type: a range and numbers of numbers, strings of strings."""
        if any(isinstance(one, str) != dtype.is_text for one in self.categories):
            return False
        return dtype.is_numeric or (dtype.is_text and (self.minimum, self.maximum) == (None, None))

    @property
    def of_values(self) -> str:
        """What is expected of the values there are, in words; empty if nothing is."""
        if self.categories:
            return f"one of {', '.join(_category(one) for one in self.categories)}"
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"at least {self.minimum:g}"
        return "" if self.maximum is None else f"at most {self.maximum:g}"

    def __str__(self) -> str:
        said = [self.of_values] if self.of_values else []
        said += [f"but for {self.outside * 100:g} %"] if self.outside else []
        said += [] if self.nulls is None else [f"at most {self.nulls * 100:g} % without a value"]
        return ", ".join(said)


class About(TypedDict, total=False):
    """What is said of a feature.

    Attributes
    ----------
    description, owner : str
        The view's unless given.
    default : float
        Stands in where the value is missing or stale; the model is given it, flagged as a default.
    expect : Expectation
    deprecated : str
        What to take instead; whoever takes the feature is warned.
    """

    description: str
    owner: str
    default: float
    expect: Expectation
    deprecated: str


def expect(
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    categories: Sequence[Category] = (),
    nulls: float | None = None,
    outside: float = 0.0,
) -> Expectation:
    """Declare what values should be: a range, the only values there are, the largest share without a value.

    ``oc.mean("dep_delay", over="24h", expect=oc.expect(minimum=-60, maximum=600, nulls=0.2))``
    """
    return Expectation(minimum=minimum, maximum=maximum, categories=tuple(categories), nulls=nulls, outside=outside)


def check_about(about: About, *, what: str, dtype: DType = DType.FLOAT64) -> None:
    """Check what is said of a feature, or of a request field of any type.

    Raises
    ------
    NotFound
        If something is said of it that nothing is known by.
    InvalidDefinition
        If its default is no finite number, its expectation does not fit its type, or it is deprecated without a word on
        what to take.
    """
    if unknown := sorted(about.keys() - About.__annotations__.keys()):
        raise NotFound(f"argument of {what}", unknown[0], (*About.__annotations__, "over", "where", "name"))
    default, expected = about.get("default"), about.get("expect")
    if expected is not None and not isinstance(expected, Expectation):
        raise InvalidDefinition(f"{what}: expect={expected!r} is no expectation; write expect=oc.expect(minimum=0)")
    if default is not None and not (isinstance(default, int | float) and math.isfinite(default)):
        raise InvalidDefinition(f"{what}: default {default!r} is no finite number")
    if default is not None and not dtype.is_numeric:
        raise InvalidDefinition(f"{what} is {dtype}, and nothing can stand in for what is no number")
    if expected is not None and not expected.fits(dtype):
        raise InvalidDefinition(f"{what} is {dtype}; {expected} cannot be expected of it")
    if "deprecated" in about and not (isinstance(about["deprecated"], str) and about["deprecated"].strip()):
        raise InvalidDefinition(f"{what} is deprecated: say what to take instead, deprecated='use ...'")


def _category(value: Category) -> str:
    return value if isinstance(value, str) else f"{value:g}"
