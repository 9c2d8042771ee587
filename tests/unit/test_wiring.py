"""The composition root: all operations, each loaded when it is asked for."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from octavo.operations import Operation
from octavo.wiring import all_operations

OPERATIONS = list(all_operations(command=True))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_is_found_by_what_it_takes(operation: Operation) -> None:
    assert all_operations(command=True).of(operation.request) is operation


def test_a_server_offers_no_commands() -> None:
    offered = {operation.name for operation in all_operations()}
    assert offered < {operation.name for operation in OPERATIONS}


_ASKS_FOR_ONE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from octavo.wiring import all_operations
from octavo.release.operations import ListDeployments
all_operations(command=True).of(ListDeployments)
print([name for name in sys.modules if name.startswith("octavo.loop") or name == "octavo.monitoring.operations"])
"""


def test_what_is_not_asked_for_is_not_loaded() -> None:
    found = subprocess.run([sys.executable, "-c", _ASKS_FOR_ONE], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_threads_that_ask_at_once_find_the_same() -> None:
    offered = all_operations(command=True)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(offered.of, [operation.request for operation in OPERATIONS])) == OPERATIONS
