"""Rows as tensors of the Open Inference Protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Tensor = dict[str, Any]


def by_column(rows: Sequence[Row]) -> list[Tensor]:
    """A tensor for each column: what is sent to any server in one form, whatever the types."""
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES" if isinstance(rows[0][name], str) else "FP64",
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]


def in_one(rows: Sequence[Row], *, name: str) -> list[Tensor]:
    """A single tensor for all columns, which must be numbers; they are then known by their order only."""
    data = [value for row in rows for value in row.values()]
    return [{"name": name, "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": data}]


def are_numbers(rows: Sequence[Row]) -> bool:
    """Whether a single tensor holds these rows."""
    return not any(isinstance(value, str) for value in rows[0].values())
