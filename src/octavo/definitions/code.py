"""The code of a declared function, without the decorators that declare it."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def code_of(function: Callable[..., Any]) -> str:
    """A function's source from its ``def`` on, so that another gate or default is no other code."""
    source = textwrap.dedent(inspect.getsource(function))
    try:
        declared = ast.parse(source).body[0]
    except SyntaxError:  # such as a lambda in the middle of a line
        return source
    if not isinstance(declared, ast.FunctionDef):
        return source
    return "".join(source.splitlines(keepends=True)[declared.lineno - 1 :])
