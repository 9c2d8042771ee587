"""What a search finds among plain bodies: the meaning of `octavo.stores.searches` in the fewest lines."""

from collections.abc import Callable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from octavo.stores.records import Body
from octavo.stores.searches import Comparing, Condition, Order, Search, Value, is_like, number_in

_TESTS: Mapping[Comparing, Callable[[Any, Any], bool]] = {
    Comparing.EQUAL: lambda found, values: found == values[0],
    Comparing.UNEQUAL: lambda found, values: found != values[0],
    Comparing.LESS: lambda found, values: found < values[0],
    Comparing.AT_MOST: lambda found, values: found <= values[0],
    Comparing.MORE: lambda found, values: found > values[0],
    Comparing.AT_LEAST: lambda found, values: found >= values[0],
    Comparing.LIKE: lambda found, values: is_like(found, values[0], any_case=False),
    Comparing.ILIKE: lambda found, values: is_like(found, values[0], any_case=True),
    Comparing.IN: lambda found, values: found in values,
    Comparing.NOT_IN: lambda found, values: found not in values,
    Comparing.PRESENT: lambda found, values: True,
}


def searched(bodies: Sequence[Body], search: Search) -> tuple[list[int], tuple[Value, ...] | None]:
    """The indices of the bodies that are found, in order, and the place of the last if more follow.

    Parameters
    ----------
    bodies : sequence
        In the order in which they were added.
    """
    places = [
        (*(field_of(body, o.path, numeric=o.numeric) for o in search.order), index)
        for index, body in enumerate(bodies)
        if all(_fulfils(body, condition) for condition in search.where)
    ]

    def compare(one: Sequence[Any], other: Sequence[Any]) -> int:
        return _compare(one, other, search.order)

    places.sort(key=cmp_to_key(compare))
    if search.after is not None:
        places = [place for place in places if _compare(place, search.after, search.order) > 0]
    some = places[: search.limit]
    return [place[-1] for place in some], some[-1] if len(places) > search.limit and some else None


def field_of(body: Body, path: Sequence[str], *, numeric: bool) -> Any:
    """A field of a body; None if it is absent, or no number where one is wanted."""
    found: Any = body
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return number_in(found) if numeric else found


def _fulfils(body: Body, condition: Condition) -> bool:
    found = field_of(body, condition.path, numeric=condition.numeric)
    if condition.comparing is Comparing.ABSENT or found is None:
        return found is None and condition.comparing is Comparing.ABSENT
    return bool(_TESTS[condition.comparing](found, condition.values))


def _compare(one: Sequence[Any], other: Sequence[Any], orders: Sequence[Order]) -> int:
    for left, right, order in zip(one, other, orders, strict=False):
        if left != right:
            if left is None or right is None:
                return 1 if left is None else -1
            return -1 if (left < right) != order.descending else 1
    return int(other[-1] - one[-1])
