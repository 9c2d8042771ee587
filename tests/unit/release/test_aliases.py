"""Aliases: moved by compare and swap, published signed under a sequence that rises."""

from pathlib import Path

import msgspec
import pytest
from tests.stages import MODEL, Stage, set_stage

from octavo.errors import Conflict, GateFailed, IntegrityError, InvalidRequest, NotFound
from octavo.operations import SYSTEM, Dispatcher
from octavo.registry.signing import Verifier
from octavo.release import aliases
from octavo.release.alias_operations import ListAliases, RemoveAlias, SetAlias, operations
from octavo.release.aliases import AliasManifest, ModelAliases, publish_aliases
from octavo.release.manifests import SignedManifest


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A model with three versions, the last of which failed a gate."""
    stage = set_stage(tmp_path)
    for number in (1, 2, 3):
        stage.add_version(number, passed=number < 3)
    return stage


def point(stage: Stage, alias: str, version: int, *, expect: int | None = None) -> ModelAliases:
    return aliases.point(stage.context, MODEL, alias, version=version, expect=expect)


def published(stage: Stage) -> AliasManifest | None:
    """What is published, verified as a predictor would."""
    document = stage.context.stores.artifacts.published(f"aliases/{MODEL}.json")
    if document is None:
        return None
    signed = msgspec.json.decode(document, type=SignedManifest)
    verifier = Verifier.load(stage.context.config.home / "keys" / "release.pub")
    verifier.verify(aliases.PURPOSE, signed.payload, signed.signature)
    return msgspec.json.decode(signed.payload, type=AliasManifest)


def test_an_alias_names_a_version_and_then_another(stage: Stage) -> None:
    assert point(stage, "champion", 1).versions == {"champion": 1}
    after = point(stage, "champion", 2, expect=1)
    assert (after.versions, after.sequence) == ({"champion": 2}, 2)


@pytest.mark.parametrize(("expect", "words"), [(2, "names version 1, not version 2"), (0, "not no version as")])
def test_an_alias_that_somebody_else_has_moved_stays_where_it_is(stage: Stage, expect: int, words: str) -> None:
    point(stage, "champion", 1)
    with pytest.raises(Conflict, match=words):
        point(stage, "champion", 2, expect=expect)
    with stage.context.transaction() as tx:
        assert aliases.aliases_of(tx, MODEL).versions == {"champion": 1}


def test_a_new_alias_can_be_said_to_be_new(stage: Stage) -> None:
    assert point(stage, "champion", 1, expect=0).sequence == 1


def test_naming_the_same_version_again_changes_nothing(stage: Stage) -> None:
    assert point(stage, "champion", 1) == point(stage, "champion", 1)


def test_a_version_that_failed_a_gate_or_is_not_there_gets_no_alias(stage: Stage) -> None:
    with pytest.raises(GateFailed, match="did not pass"):
        point(stage, "champion", 3)
    with pytest.raises(NotFound, match="version of model 'arrival_delay'"):
        point(stage, "champion", 4)


@pytest.mark.parametrize("alias", ["", "4", "Champion", "a/b", "../x", "a@b"])
def test_what_could_be_taken_for_a_number_or_a_path_is_no_alias(stage: Stage, alias: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot name a version"):
        point(stage, alias, 1)


def test_an_alias_is_removed(stage: Stage) -> None:
    point(stage, "champion", 1)
    point(stage, "next", 2)
    assert aliases.remove(stage.context, MODEL, "champion").versions == {"next": 2}
    with pytest.raises(NotFound, match="alias of model"):
        aliases.remove(stage.context, MODEL, "champion")


def test_what_is_published_is_signed_and_names_the_bundles(stage: Stage) -> None:
    point(stage, "champion", 2)
    assert publish_aliases(stage.context, MODEL) == 1
    manifest = published(stage)
    assert manifest is not None
    assert (manifest.project, manifest.model, manifest.sequence) == ("flights", MODEL, 1)
    assert [(one.alias, one.version, one.digest) for one in manifest.named] == [("champion", 2, f"sha256:{2:064x}")]


def test_what_is_published_already_is_not_published_again(stage: Stage) -> None:
    point(stage, "champion", 2)
    publish_aliases(stage.context, MODEL)
    before = published(stage)
    stage.clock.advance(stage.clock.now().replace(year=2014))
    publish_aliases(stage.context, MODEL)
    assert published(stage) == before


def test_a_version_whose_signature_does_not_fit_gets_no_alias_and_the_attempt_is_on_record(stage: Stage) -> None:
    dispatcher = Dispatcher(operations, stage.context)
    with pytest.raises(IntegrityError, match="cannot be served"):
        dispatcher.call(SetAlias(model=MODEL, alias="champion", version=1), SYSTEM)
    with stage.context.transaction() as tx:
        event = tx.audit()[0]
    assert (event.operation, event.target) == ("models.alias", f"model={MODEL} alias=champion version=1")
    assert event.outcome.startswith("refused")


def test_aliases_are_listed_and_removed_by_operations(stage: Stage) -> None:
    point(stage, "champion", 1)
    dispatcher = Dispatcher(operations, stage.context)
    assert dispatcher.call(ListAliases(), SYSTEM) == dispatcher.call(ListAliases(model=MODEL), SYSTEM)
    dispatcher.call(RemoveAlias(model=MODEL, alias="champion", expect=1), SYSTEM)
    assert dispatcher.call(ListAliases(), SYSTEM) == ()
    manifest = published(stage)
    assert manifest is not None
    assert manifest.named == ()
