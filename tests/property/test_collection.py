"""What is collected is exactly what is old and cannot be reached from anything that is told."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.clock import SystemClock
from octavo.config import Config
from octavo.definitions.project import collect as collect_definitions
from octavo.governance.collection import CollectArtifacts, collect
from octavo.operations import SYSTEM, Context
from octavo.stores.memory import MemoryArtifacts
from octavo.stores.metrics import MetricPoint
from octavo.stores.ports import AuditEvent, Metadata
from tests.contract.metadata_stores import KINDS, new_metadata
from tests.plants import memory_stores

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Says a digest somewhere."""

    kind: ClassVar[str] = "remark"

    name: str
    text: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Thing:
    """An artifact to be.

    Attributes
    ----------
    shape : str
        How it mentions others: ``json``, ``base64`` within JSON, or ``bytes`` that look as if they did, but are none.
    mentions : frozenset of int
        Others, by their places before its own.
    told : str
        Where it is mentioned itself; empty for nowhere.
    """

    shape: str
    mentions: frozenset[int]
    told: str
    is_old: bool


TOLD = ["", "", "", "field", "key", "name of a part", "audit", "metric", "document", "signed document"]


@st.composite
def things(draw: st.DrawFn) -> list[Thing]:
    count = draw(st.integers(1, 12))
    return [
        Thing(
            shape=draw(st.sampled_from(["json", "base64", "bytes"])),
            mentions=frozenset(draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else ()),
            told=draw(st.sampled_from(TOLD)),
            is_old=draw(st.sampled_from([True, True, True, False])),
        )
        for place in range(count)
    ]


def content(place: int, thing: Thing, digests: list[str]) -> bytes:
    said = json.dumps({"place": place, "is": [digests[other] for other in sorted(thing.mentions)]}, indent=1)
    if thing.shape == "json":
        return f"\n {said}".encode()
    if thing.shape == "base64":
        return json.dumps({"payload": b64encode(said.encode()).decode()}).encode()
    return b"\x89" + said.encode()


def tell(context: Context, digest: str, told: str) -> None:
    artifacts, name = context.stores.artifacts, digest[-12:]
    if told == "document":
        artifacts.publish(f"deployments/{name}.json", json.dumps({"of": digest}).encode())
    elif told == "signed document":
        payload = b64encode(json.dumps({"of": {"model": digest}}).encode()).decode()
        artifacts.publish(name, json.dumps({"payload": payload}).encode())
    with context.transaction() as tx:
        if told == "field":
            tx.put(Remark(name=name, text=f"it is {digest}, is it not?"))
        elif told == "key":
            tx.put(Remark(name=digest))
        elif told == "name of a part":
            tx.put(Remark(name=name, parts={digest: ("x",)}))
        elif told == "audit":
            tx.append_audit(AuditEvent(at=NOON, actor="ada", operation="x", target=f"of={digest}", outcome="done"))
        elif told == "metric":
            tx.append_points([MetricPoint(run=digest, name="loss", step=0, at=NOON, value=1.0)])


def context_over(metadata: Metadata) -> Context:
    stores = replace(memory_stores(), metadata=metadata)
    project = collect_definitions(ModuleType("things"), name="things", code={})
    return Context(
        config=Config(root=Path("/absent")), clock=SystemClock(), stores=stores, project=project, principal=SYSTEM
    )


def reachable(made: list[Thing]) -> set[int]:
    """The oracle: from all that is young or told, through what can be read."""
    alive: set[int] = set()
    waiting = [place for place, thing in enumerate(made) if thing.told or not thing.is_old]
    while waiting:
        place = waiting.pop()
        if place not in alive:
            alive.add(place)
            waiting += [] if made[place].shape == "bytes" else made[place].mentions
    return alive


def check(context: Context, made: list[Thing]) -> None:
    artifacts, digests = context.stores.artifacts, list[str]()
    assert isinstance(artifacts, MemoryArtifacts)
    for place, thing in enumerate(made):
        digests.append(artifacts.put(content(place, thing, digests)))
        if thing.is_old:
            artifacts.put_at[digests[place]] -= timedelta(hours=3)
        tell(context, digests[place], thing.told)
    alive = {digests[place] for place in reachable(made)}
    documents = list(artifacts.published_names(""))
    looked = collect(CollectArtifacts(older_than="2h"), context)
    assert {one.digest for one in looked.found} == set(digests) - alive
    assert {one.digest for one in artifacts.kept()} == set(digests), "nothing is removed unless that is asked for"
    removed = collect(CollectArtifacts(older_than="2h", remove=True), context)
    assert removed.found == looked.found
    assert removed.removed == len(removed.found)
    assert {one.digest for one in artifacts.kept()} == alive
    assert list(artifacts.published_names("")) == documents
    assert collect(CollectArtifacts(older_than="2h", remove=True), context).found == ()


@given(made=things())
@settings(max_examples=150, deadline=None)
def test_what_can_be_reached_stays_and_all_else_that_is_old_goes(made: list[Thing]) -> None:
    check(context_over(memory_stores().metadata), made)


@pytest.mark.parametrize("metadata", KINDS, indirect=True)
def test_it_is_so_in_every_database(metadata: Metadata) -> None:
    told = [Thing(shape="json", mentions=frozenset({1}), told=where, is_old=True) for where in TOLD]
    chain = [Thing(shape="bytes", mentions=frozenset(), told="", is_old=True) for _ in range(2)]
    young = [Thing(shape="base64", mentions=frozenset({0}), told="", is_old=False)]
    check(context_over(metadata), [*chain, *told, *young])


@pytest.fixture
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    store = new_metadata(request, tmp_path)
    yield store
    store.close()
