"""The length of a list, ``len(basket)``, which stands wherever the name of a column of numbers does."""

import ast
import re

_LENGTH = re.compile(r"len\(\s*(\w+)\s*\)\Z")


def operand_of(node: ast.expr) -> str | None:
    """The column, or the length of one, that a piece of Python's syntax names; None if it is neither."""
    match node:
        case ast.Name(id=column):
            return column
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=column)], keywords=[]):
            return f"len({column})"
        case _:
            return None


def list_in(operand: str) -> str | None:
    """The column whose length is meant; None where an operand is a column itself."""
    found = _LENGTH.match(operand)
    return found[1] if found else None


def column_in(operand: str) -> str:
    """The column that an operand looks at."""
    return list_in(operand) or operand
