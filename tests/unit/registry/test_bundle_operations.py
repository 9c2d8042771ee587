"""Card, materials, proof and folders of a version; and what must be declared before it is released."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.workshop import Workshop, boosted, declare, open_workshop, project_of

from octavo.definitions.models import Model
from octavo.errors import Conflict, GateFailed, IntegrityError, InvalidDefinition, NotFound
from octavo.registry import keyless
from octavo.registry.bundle_operations import (
    ApproveUnsafe,
    FetchVersion,
    ShowCard,
    ShowMaterials,
    SignVersion,
    VerifyVersion,
    approve_unsafe,
    fetch,
    show_card,
    show_materials,
    sign,
    verify_all,
)
from octavo.registry.folders import verify_folder
from octavo.registry.model_keys import trust
from octavo.registry.readiness import check_said, unsaid
from octavo.registry.registration import register, verify_version
from octavo.registry.versions import ModelVersion
from octavo.stores.memory import MemoryArtifacts
from octavo.training.fit import train

LIMITS = ["not for refunds"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, ModelVersion]:
    """A workshop and a version in it; nobody changes that."""
    workshop = open_workshop(tmp_path_factory.mktemp("shop"), declare(boosted, limits=LIMITS))
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    return workshop, register(workshop.context, trained, champion=None)


def checks(workshop: Workshop, version: ModelVersion) -> dict[str, tuple[bool, str]]:
    found = verify_all(VerifyVersion(model=version.model, version=version.version), workshop.context)
    return {check.what: (check.holds, check.said) for check in found.checks}


def with_artifacts(made: tuple[Workshop, ModelVersion]) -> tuple[Workshop, MemoryArtifacts]:
    """The workshop with artifacts of its own, which may be changed."""
    workshop, _ = made
    artifacts = MemoryArtifacts()
    held = workshop.context.stores.artifacts
    assert isinstance(held, MemoryArtifacts)
    artifacts._bytes.update(held._bytes)
    stores = replace(workshop.context.stores, artifacts=artifacts)
    return Workshop(replace(workshop.context, stores=stores), workshop.model), artifacts


def declared_as(made: tuple[Workshop, ModelVersion], **said: Any) -> Workshop:
    """The workshop with its model declared in other words."""
    workshop, _ = made
    model = replace(workshop.model, **said)
    return Workshop(replace(workshop.context, project=project_of(model)), model)


# The card.


def test_a_card_says_for_programs_what_it_says_for_people(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, version = made
    found = show_card(ShowCard(model="boosted", version=1), workshop.context)
    assert (found.card.owner, found.card.purpose, found.card.risk) == ("the shops", "the till is stocked", "low")
    assert found.card.metrics["mae"].value == version.metrics["mae"]
    assert set(found.card.inputs) == set(workshop.model.input_names)
    assert "not for refunds" in found.card.limits
    assert "- not for refunds\n" in found.text
    assert "- Purpose: the till is stocked\n- Risk tier: low\n" in found.text
    assert (found.card.format, found.card.tier, found.lacking) == ("lightgbm", "data", "")


def test_a_card_that_was_made_too_early_says_what_is_declared_now(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(boosted, owner="", purpose="", tier=None))
    register(workshop.context, train(workshop.context, workshop.model, as_of=workshop.now), champion=None)
    before = show_card(ShowCard(model="boosted", version=1), workshop.context)
    assert (before.card.owner, before.card.risk) == ("", None)
    assert "has no owner and purpose and tier" in before.lacking
    model = replace(workshop.model, owner="ada", purpose="stock", tier="high")
    after = show_card(ShowCard(model="boosted", version=1), replace(workshop.context, project=project_of(model)))
    assert (after.card.owner, after.card.purpose, after.card.risk, after.lacking) == ("ada", "stock", "high", "")


# The bill of materials.


def test_the_materials_are_cyclonedx(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, version = made
    text = show_materials(ShowMaterials(model="boosted", version=1), workshop.context)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    model = document["metadata"]["component"]
    assert (model["type"], model["version"]) == ("machine-learning-model", "1")
    assert model["hashes"][0]["content"] == version.digest.removeprefix("sha256:")
    assert {part["type"] for part in document["components"]} == {"data", "library", "file"}
    names = {part["name"] for part in document["components"]}
    assert {"lightgbm", "numpy", "model/model.txt", "code/project.py"} <= names
    assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["type"] == "mae"


def test_the_bundle_holds_materials_that_are_cyclonedx_too(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, _ = made
    fetched = fetch(FetchVersion(model="boosted", version=1), workshop.context)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(fetched.files["bom.json"].decode()) is None
    listed = {part["name"] for part in json.loads(fetched.files["bom.json"])["components"] if part["type"] == "file"}
    assert listed == set(fetched.files) - {"bom.json", "bundle.json"}


# Proof.


def test_what_is_as_it_was_made_holds(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, version = made
    found = checks(workshop, version)
    assert all(holds for holds, _ in found.values()), found
    assert list(found) == ["files", "release signature", "model signature", "format", "declared"]


def test_a_changed_file_is_found(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, artifacts = with_artifacts(made)
    manifest = json.loads(artifacts.get(made[1].digest))
    artifacts._bytes[manifest["files"]["golden.json"]["digest"]] = b"{}"
    found = checks(workshop, made[1])
    assert not found["files"][0]
    assert "does not match its digest" in found["files"][1]


def test_a_model_signature_of_another_version_is_found(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, version = made
    other = replace(version, version=2)
    with workshop.context.transaction() as tx:
        tx.put(other)
    found = checks(workshop, other)
    assert not found["release signature"][0]
    assert "is of 'boosted-1', not of 'boosted-2'" in found["model signature"][1]


def test_a_version_without_a_signature_says_so_and_is_signed_later(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(boosted))
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    made = register(workshop.context, trained, champion=None)
    with workshop.context.transaction() as tx:
        tx.put(replace(made, oms=""))
    assert "octavo models sign boosted 1" in checks(workshop, made)["model signature"][1]
    signed = sign(SignVersion(model="boosted", version=1), workshop.context)
    assert signed.oms
    assert checks(workshop, signed)["model signature"][0]


def test_a_version_whose_model_signature_does_not_hold_is_not_released(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, artifacts = with_artifacts(made)
    artifacts._bytes[made[1].oms] = b"{}"
    assert "no model signature that can be read" in verify_version(workshop.context, made[1])


# What must be declared.


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"owner": " "}, 'has no owner, .*owner="..."'),
        ({"purpose": ""}, 'has no purpose, .*purpose="..."'),
        ({"tier": None}, 'has no tier, .*tier="low", "medium" or "high"'),
    ],
)
def test_nothing_is_released_of_a_model_of_which_too_little_is_said(
    made: tuple[Workshop, ModelVersion], said: dict[str, Any], reason: str
) -> None:
    workshop = declared_as(made, **said)
    with pytest.raises(GateFailed, match=reason):
        check_said(workshop.model)
    assert verify_version(workshop.context, made[1]) == unsaid(workshop.model)
    assert not checks(workshop, made[1])["declared"][0]


def test_a_tier_is_one_of_three() -> None:
    with pytest.raises(InvalidDefinition, match="low, medium or high, not 'huge'"):
        declare(boosted, tier="huge")


def test_what_is_said_of_a_model_starts_no_training(made: tuple[Workshop, ModelVersion]) -> None:
    from octavo.definitions.changes import changes

    before = project_of(made[0].model).documents()
    after: Model = replace(made[0].model, purpose="another", tier="high", limits=("more",))
    [change] = changes(before, project_of(after))
    assert (set(change.fields), change.retrain) == ({"purpose", "tier", "limits"}, ())


def test_data_needs_nobodys_word(made: tuple[Workshop, ModelVersion]) -> None:
    with pytest.raises(Conflict, match="is data, of format 'lightgbm'"):
        approve_unsafe(ApproveUnsafe(model="boosted", version=1, note="why not"), made[0].context)


# Folders.


@pytest.fixture
def folder(made: tuple[Workshop, ModelVersion], tmp_path: Path) -> Path:
    """The version as it is handed on."""
    fetched = fetch(FetchVersion(model="boosted", version=1), made[0].context)
    for name, data in fetched.files.items():
        (tmp_path / fetched.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / fetched.folder / name).write_bytes(data)
    (tmp_path / f"{fetched.folder}.sig").write_bytes(fetched.signature)
    return tmp_path / fetched.folder


def verified(made: tuple[Workshop, ModelVersion], folder: Path) -> Any:
    signature = folder.with_name("boosted-1.sig").read_bytes()
    return verify_folder(folder, signature=signature, trust=trust(made[0].context.config))


def test_a_folder_that_was_handed_on_is_verified_without_its_project(
    made: tuple[Workshop, ModelVersion], folder: Path
) -> None:
    found = verified(made, folder)
    assert (found.name, found.digest, found.model) == ("boosted-1", made[1].digest, "boosted")


def with_git(folder: Path) -> Path:
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref", encoding="utf-8")
    return folder


def renamed(folder: Path) -> Path:
    return folder.rename(folder.with_name("boosted-2"))


def changed(folder: Path) -> Path:
    (folder / "code" / "project.py").write_text("import os\n", encoding="utf-8")
    return folder


def with_new_list(folder: Path) -> Path:
    """A file more, which the bundle's own list has, too."""
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    manifest["files"]["more.txt"] = manifest["files"]["card.md"]
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    shutil.copy(folder / "card.md", folder / "more.txt")
    return folder


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (with_git, r"holds '\.git/HEAD', which its manifest does not list"),
        (renamed, "is of 'boosted-1', not of 'boosted-2'"),
        (changed, "was changed or damaged"),
        (with_new_list, "holds 'more.txt', which is not signed"),
    ],
)
def test_a_folder_that_was_changed_is_refused(
    made: tuple[Workshop, ModelVersion], folder: Path, attack: Callable[[Path], Path], reason: str
) -> None:
    with pytest.raises(IntegrityError, match=reason):
        verified(made, attack(folder))


def test_a_version_that_is_not_there_is_not_found(made: tuple[Workshop, ModelVersion]) -> None:
    with pytest.raises(NotFound):
        show_card(ShowCard(model="boosted", version=9), made[0].context)


# Without keys of one's own.


def test_signing_without_a_key_needs_the_openssfs_tool(made: tuple[Workshop, ModelVersion]) -> None:
    workshop, _ = made
    config = replace(workshop.context.config, signing=replace(workshop.context.config.signing, method="sigstore"))
    with pytest.raises(Exception, match="pip install model-signing") as caught:
        sign(SignVersion(model="boosted", version=1), replace(workshop.context, config=config))
    assert type(caught.value).__name__ == "ConfigurationError"


TOOL = """
import sys
print(" ".join(sys.argv[1:]))
if "sign" in sys.argv:
    open(sys.argv[sys.argv.index("--signature") + 1], "w").write("signed by the tool")
elif "ada@example.org" not in sys.argv:
    sys.exit("Signature mismatch")
"""


def test_the_tool_is_told_what_to_sign_and_whom_to_believe(
    made: tuple[Workshop, ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against what stands in for it: the real one asks services on the internet."""
    (tmp_path / "model_signing.py").write_text(TOOL, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    folder = tmp_path / "boosted-1"
    folder.mkdir()
    settings = replace(
        made[0].context.config.signing, method="sigstore", identity="ada@example.org", issuer="https://id.example.org"
    )
    signature = keyless.sign(folder)
    assert signature == b"signed by the tool"
    assert keyless.verify(folder, signature, settings) == "ada@example.org"
    with pytest.raises(IntegrityError, match="Signature mismatch"):
        keyless.verify(folder, signature, replace(settings, identity="eve@example.org"))
