"""Rights that are limited to models and deployments, at the one dispatcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.showrooms import Showroom, empty_showroom, full_showroom

from octavo.access.roles import principal_in_role
from octavo.belonging import is_listing, naming_fields
from octavo.errors import NotAllowed
from octavo.governance.access.belonging import BELONGINGS
from octavo.operations import Context, Dispatcher, Operations
from octavo.principals import SELF, Limited, Principal
from octavo.wiring import all_operations

OPERATIONS = list(all_operations())


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request that may name several things."""

    model: str | None = None
    deployment: str | None = None
    models: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A request that changes all."""


@dataclass(frozen=True, kw_only=True)
class List:
    """A request for a list."""

    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """Says to which model it belongs."""

    model: str


@dataclass(frozen=True, kw_only=True)
class Nested:
    """Says so by its state."""

    state: Item


@dataclass
class Calls:
    """What was run."""

    asked: list[Any] = field(default_factory=list)


# Which deployment serves which model
SERVED = {"d1": "m1", "d2": "m2"}


def make(calls: Calls) -> Operations:
    operations = Operations()

    @operations.operation("a.ask", request=Ask, permission="a:ask")
    def ask(request: Ask, context: Context) -> str:
        """Ask."""
        calls.asked.append(request)
        return "answered"

    @operations.operation("a.change", request=Change, permission="a:ask", changes=True)
    def change(request: Change, context: Context) -> tuple[Item, ...]:
        """Change."""
        calls.asked.append(request)
        return ()

    @operations.operation("a.list", request=List, permission="a:ask")
    def items(request: List, context: Context) -> tuple[Item, ...]:
        """List."""
        return tuple(Item(model=name) for name in ("m1", "m2") if request.model in (None, name))

    operations.belongings = {
        "model": lambda name, _: {"model": name},
        "models": lambda name, _: {"model": name},
        "deployment": lambda name, _: {"deployment": name, "model": SERVED[name]} if name in SERVED else None,
    }
    return operations


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return empty_showroom(tmp_path_factory.mktemp("project"))


def someone(*about: tuple[str, str]) -> Principal:
    limited = tuple(Limited(about=kind, name=name, permissions=frozenset({"a:ask"})) for kind, name in about)
    return Principal(name="ada", permissions=frozenset(), limited=limited)


ABOUT = st.sampled_from([("model", "m1"), ("model", "m2"), ("deployment", "d1"), ("deployment", "d2")])
ASKS = st.builds(
    Ask,
    model=st.sampled_from([None, "m1", "m2", "gone"]),
    deployment=st.sampled_from([None, "d1", "d2", "gone"]),
    models=st.lists(st.sampled_from(["m1", "m2"]), max_size=2).map(tuple),
    note=st.text(max_size=2),
)


def is_theirs(held: set[tuple[str, str]], ask: Ask) -> bool:
    """The plainest way to say it: all that is named is theirs, and something is."""
    models = [*([ask.model] if ask.model else []), *ask.models]
    for model in models:
        if ("model", model) not in held:
            return False
    if ask.deployment and ("deployment", ask.deployment) not in held:
        served = SERVED.get(ask.deployment)
        if served is None or ("model", served) not in held:
            return False
    if ask.deployment and ask.deployment not in SERVED:
        return False
    return bool(models or ask.deployment)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(held=st.sets(ABOUT, max_size=3), ask=ASKS)
def test_a_request_is_run_if_all_that_it_names_is_the_callers(
    room: Showroom, held: set[tuple[str, str]], ask: Ask
) -> None:
    calls = Calls()
    dispatcher = Dispatcher(make(calls), room.context)
    if is_theirs(held, ask):
        assert dispatcher.call(ask, someone(*held)) == "answered"
        assert calls.asked == [ask]
    else:
        with pytest.raises(NotAllowed, match="a:ask"):
            dispatcher.call(ask, someone(*held))
        assert calls.asked == []


def test_of_a_list_everybody_gets_what_is_theirs(room: Showroom) -> None:
    dispatcher = Dispatcher(make(Calls()), room.context)
    assert dispatcher.call(List(), someone(("model", "m2"))) == (Item(model="m2"),)
    assert dispatcher.call(List(model="m2"), someone(("model", "m2"))) == (Item(model="m2"),)
    with pytest.raises(NotAllowed):
        dispatcher.call(List(model="m1"), someone(("model", "m2")))


def test_what_changes_something_must_say_about_what(room: Showroom) -> None:
    with pytest.raises(NotAllowed):
        Dispatcher(make(Calls()), room.context).call(Change(), someone(("model", "m2")))


def test_a_limited_refusal_says_what_the_rights_are_about_and_is_audited(room: Showroom) -> None:
    with pytest.raises(NotAllowed, match="about the model m2"):
        Dispatcher(make(Calls()), room.context).call(Ask(model="m1"), someone(("model", "m2")))
    with room.stores.metadata.transaction() as tx:
        assert (tx.audit(limit=1)[0].target, tx.audit(limit=1)[0].outcome) == ("model=m1", "denied")


def test_a_listing_is_a_tuple_of_things_that_say_to_what_they_belong() -> None:
    def nested() -> tuple[Nested, ...]:
        raise NotImplementedError

    def plain() -> tuple[str, ...]:
        raise NotImplementedError

    def one() -> Item:
        raise NotImplementedError

    assert is_listing(nested)
    assert not is_listing(plain)
    assert not is_listing(one)


# No operation tells somebody of one model anything of another

CANARY = "arrival_delay"
OTHERS = ("eta", CANARY, "gone")


def named(request: type, mapping: Mapping[str, object]) -> object | None:
    """A request that names what belongs to another; None if it takes more than names."""
    given: dict[str, Any] = {}
    for one in fields(request):
        if one.name in mapping:
            given[one.name] = mapping[one.name]
        elif one.default is one.default_factory:  # both missing: the field is required
            return None
    return request(**given)


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.permission != SELF], ids=lambda operation: operation.name
)
def test_somebody_of_another_model_gets_nothing(room: Showroom, operation: Any) -> None:
    """Whatever operations come: an administrator of nothing here is refused, or told of nothing."""
    outsider = principal_in_role("admin", about=("model", "another"))
    theirs = {name: ("x",) if name in ("runs",) else "eta" for name in BELONGINGS}
    theirs |= {"model": CANARY, "version": 1, "rows": ()}
    request = named(operation.request, theirs)
    if request is None:
        request = object.__new__(operation.request)
        for one in fields(operation.request):
            object.__setattr__(request, one.name, theirs.get(one.name, ""))
    dispatcher = Dispatcher(all_operations(), room.context)
    if naming_fields(operation.request, BELONGINGS) or not is_listing(operation.function):
        with pytest.raises(NotAllowed):
            dispatcher.call(request, outsider)
    else:
        assert dispatcher.call(request, outsider) == ()


def test_belongings_name_fields_of_requests() -> None:
    """A field that no request has any more is not to be kept."""
    known = {one.name for operation in OPERATIONS for one in fields(operation.request)}
    assert BELONGINGS.keys() - known == set()


def test_a_viewer_of_one_model_sees_it_and_its_deployment_and_nothing_else(tmp_path: Path) -> None:

    room = full_showroom(tmp_path)
    dispatcher = Dispatcher(all_operations(), room.context)
    viewer = principal_in_role("viewer", about=("model", CANARY))
    request_of = {operation.name: operation.request for operation in OPERATIONS}
    assert dispatcher.call(request_of["models.show"](model=CANARY), viewer)
    listed = dispatcher.call(request_of["models.list"](), viewer)
    assert {one.model for one in listed} == {CANARY}
    deployed = dispatcher.call(request_of["deployments.list"](), viewer)
    assert [one.state.deployment for one in deployed] == ["eta"]
    assert dispatcher.call(request_of["deployments.show"](deployment="eta"), viewer)
    with pytest.raises(NotAllowed):
        dispatcher.call(request_of["system.show"](), viewer)
