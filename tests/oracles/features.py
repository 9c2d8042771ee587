"""What feature values must be: one entity, one moment, by reading every event. Slow and obviously right.

It shares no code with the product but the definitions. An event is a dict of its source's columns, timestamps as
integer microseconds since 1970, with its ``_event_id`` (bytes); a column that is absent is null. One that repeats an
earlier ``_event_id`` is the same event sent again.
"""

import hashlib
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from octavo.definitions.aggregates import Operation
from octavo.definitions.conditions import (
    Comparison,
    Condition,
    Contains,
    IsNull,
    Joined,
    Not,
    OneOf,
    parse_condition,
)
from octavo.definitions.features import Feature, FeatureView
from octavo.definitions.sources import Source

Event = Mapping[str, object]

_SIGNS: Mapping[str, Callable[[Any, Any], object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def features_at(events: Sequence[Event], view: FeatureView, *, key: object, at_us: int) -> dict[str, float | None]:
    """The value of every feature of `view` for the entity `key` at `at_us`; None where it is missing or stale.

    `key` is a tuple for a view of several entities.
    """
    source = view.source
    known = [
        event for event in distinct(events) if _is_about(event, view, key) and _time(event, source.available_at) < at_us
    ]
    return {
        f.name: _latest(f, known, source, at_us) if f.window_s is None else _window(f, known, source, at_us)
        for f in view.features
    }


def _is_about(event: Event, view: FeatureView, key: object) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    own = tuple(event.get(column) for column in view.keys)
    return None not in parts and own == parts


def distinct(events: Iterable[Event]) -> list[Event]:
    """Events without those sent again."""
    first: dict[object, Event] = {}
    for event in events:
        first.setdefault(event["_event_id"], event)
    return list(first.values())


def rounded(value: float) -> float:
    """A value to seven significant bits, as quantiles see it (Veltkamp's rounding)."""
    if not abs(value) <= 1e290:
        return value
    split = value * (2.0**46 + 1)
    return split - (split - value)


def _window(feature: Feature, known: Sequence[Event], source: Source, at_us: int) -> float | None:
    assert feature.window_s is not None
    assert feature.tile_s is not None
    tile_us = feature.tile_s * 1_000_000
    start_us = (at_us - feature.window_s * 1_000_000) // tile_us * tile_us
    inside = [event for event in known if start_us <= _time(event, source.event_time) < at_us]
    if feature.operation in (Operation.FIRST, Operation.LAST, Operation.LAST_K):
        return _nth(feature, inside, source)
    if feature.half_life_s is not None:
        return _decayed(feature, inside, source, at_us)
    values = [value for event in inside if (value := value_of(feature, event)) is not None]
    if feature.operation is Operation.COUNT:
        return float(len(values))
    if feature.operation is Operation.DISTINCT:
        return _distinct({_text(value) for value in values})
    numbers = sorted(float(value) for value in values)  # type: ignore[arg-type]  # numeric by the definition
    return _aggregate(feature, numbers) if numbers else None


def _latest(feature: Feature, known: Sequence[Event], source: Source, at_us: int) -> float | None:
    assert feature.ttl_s is not None
    happened_us, value = _newest(feature, known, source)
    return None if at_us - happened_us >= feature.ttl_s * 1_000_000 else value


def _nth(feature: Feature, events: Sequence[Event], source: Source) -> float | None:
    """The value of the oldest event that has one, of the newest, or of the nth newest."""
    ordered = _with_value(feature, events, source)
    if feature.operation is Operation.FIRST:
        ordered, nth = ordered[::-1], 1
    else:
        nth = feature.nth or 1
    return None if nth > len(ordered) else float(value_of(feature, ordered[nth - 1]))  # type: ignore[arg-type]  # numeric


def _decayed(feature: Feature, events: Sequence[Event], source: Source, at_us: int) -> float | None:
    assert feature.half_life_s is not None
    weighed = [
        float(value) * 2.0 ** ((_time(event, source.event_time) - at_us) / (feature.half_life_s * 1_000_000))  # type: ignore[arg-type]  # numeric
        for event in events
        if (value := value_of(feature, event)) is not None
    ]
    return math.fsum(weighed) if weighed or feature.operation is Operation.DECAYED_COUNT else None


def _text(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _distinct(texts: set[str]) -> float:
    """Their number, or from 1,024 on an estimate by the 1,024th smallest of their 52-bit hashes."""
    hashes = sorted(int(hashlib.md5(text.encode()).hexdigest()[:13], 16) for text in texts)
    return float(len(hashes)) if len(hashes) < 1024 else 1023 * 2.0**52 / hashes[1023]


def _newest(feature: Feature, events: Sequence[Event], source: Source) -> tuple[int, float | None]:
    """When the newest event that has a value happened, and the value."""
    for newest in _with_value(feature, events, source):
        return _time(newest, source.event_time), float(value_of(feature, newest))  # type: ignore[arg-type]  # numeric
    return 0, None


def _with_value(feature: Feature, events: Sequence[Event], source: Source) -> list[Event]:
    """The events that have a value, the newest first."""
    found = [event for event in events if value_of(feature, event) is not None]
    times = source.event_time, source.available_at
    return sorted(found, key=lambda e: (*(_time(e, column) for column in times), e["_event_id"]), reverse=True)


def value_of(feature: Feature, event: Event) -> object:
    """What a feature takes of an event; None if it passes over it."""
    if feature.where is not None and not _holds(parse_condition(feature.where), event):
        return None
    if feature.condition is not None:
        return _holds(parse_condition(feature.condition), event)
    if feature.column is None:
        return 1
    value = _operand(feature.column, event)
    return value if feature.index is None or value is None else value[feature.index]  # type: ignore[index]  # a vector


def _operand(text: str, event: Event) -> object:
    """A column's value, or the length of its list."""
    if not text.startswith("len("):
        return event.get(text)
    values = event.get(text[4:-1])
    return None if values is None else len(values)  # type: ignore[arg-type]  # a list


def _holds(condition: Condition, event: Event) -> bool | None:
    """Whether a condition holds for an event; None if that is unknown."""
    match condition:
        case Not():
            inner = _holds(condition.condition, event)
            return None if inner is None else not inner
        case Joined():
            found = [_holds(one, event) for one in condition.conditions]
            decisive = condition.word == "or"
            return decisive if decisive in found else None if None in found else not decisive
        case IsNull():
            return _operand(condition.column, event) is None
        case Contains():
            values = event.get(condition.column)
            return None if values is None else condition.constant in map(_comparable, values)  # type: ignore[call-overload]  # a list
        case OneOf():
            value = _comparable(_operand(condition.column, event))
            return None if value is None else value in condition.constants
        case Comparison():
            value = _comparable(_operand(condition.column, event))
            return None if value is None else bool(_SIGNS[condition.sign](value, condition.constant))


def _comparable(value: object) -> object:
    """Numbers are compared as 64-bit floats, whole ones too."""
    return float(value) if type(value) is int else value


def _aggregate(feature: Feature, numbers: list[float]) -> float:
    match feature.operation:
        case Operation.SUM:
            return math.fsum(numbers)
        case Operation.MEAN | Operation.RATE:
            return math.fsum(numbers) / len(numbers)
        case Operation.MIN:
            return numbers[0]
        case Operation.MAX:
            return numbers[-1]
        case Operation.STD:
            return _std(numbers)
        case Operation.QUANTILE:
            assert feature.q is not None
            place = max(math.ceil(feature.q * len(numbers)) - 1, 0)
            return sorted(rounded(number) for number in numbers)[place]
        case _:
            raise AssertionError(feature.operation)


def _std(numbers: list[float]) -> float:
    exact = [Fraction(number) for number in numbers]
    mean = sum(exact) / len(exact)
    return math.sqrt(sum((number - mean) ** 2 for number in exact) / len(exact))


def _time(event: Event, column: str) -> int:
    micros = event[column]
    assert isinstance(micros, int)
    return micros
