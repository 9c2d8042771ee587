"""In which order on-demand features are computed, since one may take the values of others."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from octavo.definitions.features import OnDemand
from octavo.errors import InvalidDefinition


def in_order(functions: Sequence[OnDemand]) -> tuple[OnDemand, ...]:
    """On-demand features, each after those that it takes.

    Raises
    ------
    InvalidDefinition
        If one takes, directly or through others, its own value.
    """
    by_name = {function.name: function for function in functions}
    taken = {function.name: [name for name in function.inputs if name in by_name] for function in functions}
    try:
        return tuple(by_name[name] for name in TopologicalSorter(taken).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise InvalidDefinition(
            f"on-demand features take each other in a circle: {circle}; let one of them take something else"
        ) from error


def check_functions(functions: Sequence[OnDemand], *, known: Collection[str], what: str) -> None:
    """Refuse on-demand features that take what there is not, or themselves.

    Parameters
    ----------
    known : collection of str
        What else may be taken: request fields, and features of views as ``view__feature``.

    Raises
    ------
    InvalidDefinition
    """
    named = {*known, *(function.name for function in functions)}
    for function in functions:
        unknown = [name for name in function.inputs if name not in named]
        if unknown:
            nearest = get_close_matches(unknown[0], named, n=1, cutoff=0.6)
            raise InvalidDefinition(
                f"{what}: on-demand feature {function.name!r} takes {', '.join(unknown)}, which is not among the "
                "model's oc.request fields, its other on-demand features and the features of its views "
                f"(view__feature){f'; did you mean {nearest[0]!r}?' if nearest else ''}"
            )
    in_order(functions)
