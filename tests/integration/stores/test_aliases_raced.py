"""An alias that many move at once, each from what it had seen: one wins, and the others are told so."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from octavo.errors import Conflict
from octavo.operations import Context
from octavo.release.aliases import aliases_of, point
from octavo.release.history import NamedFrom
from tests.contract.metadata_stores import KINDS, new_metadata
from tests.stages import MODEL, set_stage

MOVERS = 6


@pytest.fixture(params=KINDS)
def context(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Context]:
    stage = set_stage(tmp_path)
    metadata = new_metadata(request, tmp_path)
    stage = replace(stage, context=replace(stage.context, stores=replace(stage.context.stores, metadata=metadata)))
    for version in range(1, MOVERS + 2):
        stage.add_version(version)
    yield stage.context
    metadata.close()


def test_of_many_who_move_an_alias_at_once_one_wins(context: Context) -> None:
    point(context, MODEL, "champion", version=1)
    together = threading.Barrier(MOVERS)
    won: list[int] = []
    lost: list[Conflict] = []

    def move(version: int) -> None:
        together.wait()
        try:
            point(context, MODEL, "champion", version=version, expect=1)
            won.append(version)
        except Conflict as error:
            lost.append(error)

    movers = [threading.Thread(target=move, args=(version,)) for version in range(2, MOVERS + 2)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert (len(won), len(lost)) == (1, MOVERS - 1)
    assert all(error.facts["version"] == won[0] for error in lost)
    with context.transaction() as tx:
        assert aliases_of(tx, MODEL).versions == {"champion": won[0]}
        assert [dict(one.versions) for one in tx.find(NamedFrom)] == [{"champion": 1}, {"champion": won[0]}]
