"""Whether a changed definition still means the same to those that rest on it."""

from collections.abc import Mapping

Document = Mapping[str, object]

_SAID = frozenset({"description", "owner", "expect", "deprecated"})
"""What is said of a definition without changing what it computes."""

_PASSED_OVER = {
    "model": _SAID | {"metrics", "gates", "retrain", "purpose", "tier", "limits"},
    "view": _SAID,
    "source": _SAID | {"schema", "every_s"},
    "entity": _SAID,
}
"""By kind, what models do not learn from: what judges and starts their trainings, how often a source is renewed."""


def means_the_same(kind: str, before: Document, after: Document) -> bool:
    """Whether what models learn, and what is kept of events, is what it was; so of a deployment in any case.

    A source means the same with more columns; a default is part of what a feature means.
    """
    if kind not in _PASSED_OVER:
        return True
    if kind == "source" and not _columns(before) <= _columns(after):
        return False
    return _meaning(before, _PASSED_OVER[kind]) == _meaning(after, _PASSED_OVER[kind])


def _meaning(value: object, passed_over: frozenset[str]) -> object:
    if isinstance(value, Mapping):
        return {key: _meaning(one, passed_over) for key, one in value.items() if key not in passed_over}
    return [_meaning(one, passed_over) for one in value] if isinstance(value, list | tuple) else value


def _columns(source: Document) -> set[tuple[object, object]]:
    schema = source.get("schema")
    assert isinstance(schema, list), "a source's document holds its columns"
    return {(field["name"], field["dtype"]) for field in schema}
