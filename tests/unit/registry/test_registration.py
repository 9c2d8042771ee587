"""From a trained model to a version that can be trusted."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.workshop import Workshop, boosted, declare, in_transaction, open_workshop

import octavo as oc
from octavo.errors import NotFound
from octavo.registry.bundles import fetch_bundle
from octavo.registry.operations import ListModels, ShowModel, ShowVersion, list_models, show_model, show_version
from octavo.registry.packing import pack
from octavo.registry.registration import register, verify_version
from octavo.registry.signing import Signer
from octavo.registry.versions import ModelVersion
from octavo.serving.models import load_model
from octavo.training.fit import train
from octavo.training.runs import Run


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    gates = [oc.better_than_baseline("mae"), oc.better_than_champion("mae"), oc.at_most("mae", 100)]
    return open_workshop(tmp_path, declare(boosted, gates=gates))


def made(workshop: Workshop, *, champion: ModelVersion | None = None) -> ModelVersion:
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    return register(workshop.context, trained, champion=champion)


def test_versions_are_numbered_and_pass_their_gates(workshop: Workshop) -> None:
    first, second = made(workshop), made(workshop)
    assert (first.version, second.version) == (1, 2)
    assert first.passed
    assert [gate.gate for gate in first.gates] == [
        "better_than_baseline(mae)",
        "better_than_champion(mae)",
        "at_most(mae, 100)",
    ]


def test_a_run_makes_one_version_however_often_it_is_registered(workshop: Workshop) -> None:
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    first, again = (register(workshop.context, trained, champion=None) for _ in range(2))
    assert first == again
    with workshop.context.stores.metadata.transaction() as tx:
        assert [run.version for run in tx.find(Run)] == [1]


def test_a_predictor_loads_the_bundle_and_answers_its_golden_rows(workshop: Workshop, tmp_path: Path) -> None:
    version = made(workshop)
    bundle = fetch_bundle(workshop.context.stores.artifacts, version.digest, into=tmp_path / "bundles")
    model = load_model(bundle)  # replays the golden rows
    assert model.plan.inputs == workshop.model.input_names
    assert bundle.report.metrics["mae"].value == version.metrics["mae"]
    assert set(bundle.code) == {"project.py"}


def test_a_version_that_only_equals_the_live_one_is_not_better(workshop: Workshop) -> None:
    champion = made(workshop)
    equal = made(workshop, champion=champion)
    gate = next(gate for gate in equal.gates if gate.gate == "better_than_champion(mae)")
    assert not gate.passed
    assert "version 1 has" in gate.evidence
    assert "a difference of +0 (+0 to +0), which may be chance" in gate.evidence


def test_what_a_version_learned_from_was_known_before_what_it_was_judged_on(workshop: Workshop) -> None:
    version = made(workshop)
    assert version.trained_until == workshop.now - timedelta(seconds=workshop.model.holdout_s)


def test_runs_that_are_registered_at_once_get_numbers_of_their_own(workshop: Workshop) -> None:
    trained = [train(workshop.context, workshop.model, as_of=workshop.now) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda one: register(workshop.context, one, champion=None), trained))
    assert sorted(version.version for version in made) == [1, 2, 3]
    assert [verify_version(workshop.context, version) for version in made] == ["", "", ""]


def test_a_run_that_was_packed_before_a_crash_makes_one_version_after_it(workshop: Workshop) -> None:
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    pack(workshop.context, trained)
    version = register(workshop.context, trained, champion=None)
    assert version.version == 1
    assert verify_version(workshop.context, version) == ""


def test_progress_of_a_training_and_its_registration_only_rises(workshop: Workshop) -> None:
    steps: list[float] = []
    context = replace(workshop.context, progress=lambda fraction, message: steps.append(fraction))
    register(context, train(context, workshop.model, as_of=workshop.now), champion=None)
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0.0, 1.0)


def test_a_champion_whose_bundle_is_gone_does_not_hinder_its_replacement(workshop: Workshop) -> None:
    gone = replace(made(workshop), digest=f"sha256:{'0' * 64}", metrics={"mae": 1_000.0})
    version = made(workshop, champion=gone)
    gate = next(gate for gate in version.gates if gate.gate == "better_than_champion(mae)")
    assert gate.passed
    assert "version 1 cannot be read" in gate.evidence
    assert "on its own held-out rows it had 1000" in gate.evidence


def test_a_version_below_its_bound_is_kept_with_the_evidence(tmp_path: Path) -> None:
    workshop = open_workshop(tmp_path, declare(boosted, gates=[oc.at_most("mae", 0.001), oc.at_least("mae", 0.001)]))
    version = made(workshop)
    assert [gate.passed for gate in version.gates] == [False, True]
    assert "the bound is 0.001" in version.gates[0].evidence


def test_a_sound_version_may_be_released(workshop: Workshop) -> None:
    assert verify_version(workshop.context, made(workshop)) == ""


@pytest.mark.parametrize("change", [{"version": 7}, {"model": "another"}, {"digest": f"sha256:{'0' * 64}"}])
def test_a_signature_does_not_fit_another_name_number_or_digest(workshop: Workshop, change: dict) -> None:
    forged = replace(made(workshop), **change)
    assert "signature does not fit" in verify_version(workshop.context, forged)


def test_a_version_of_another_key_is_refused(workshop: Workshop) -> None:
    version = made(workshop)
    keys = workshop.context.config.home / "keys"
    for file in keys.iterdir():
        file.unlink()
    assert "no trusted public key" in verify_version(workshop.context, version)
    Signer(keys / "release.key")
    assert "is trusted" in verify_version(workshop.context, version)


def test_a_version_with_the_report_of_another_is_refused(workshop: Workshop) -> None:
    forged = replace(made(workshop), report=f"sha256:{'0' * 64}")
    assert "another report" in verify_version(workshop.context, forged)


def test_a_bundle_of_another_project_is_refused(workshop: Workshop) -> None:
    version = made(workshop)
    elsewhere = replace(workshop.context, project=replace(workshop.context.project, name="other"))
    assert "signature does not fit" in verify_version(elsewhere, version)


def test_verifying_makes_no_key(workshop: Workshop, tmp_path: Path) -> None:
    version = made(workshop)
    config = replace(workshop.context.config, root=tmp_path / "elsewhere")
    assert verify_version(replace(workshop.context, config=config), version)
    assert not (tmp_path / "elsewhere").exists()


def test_a_version_whose_bytes_are_gone_is_refused(workshop: Workshop) -> None:
    version = made(workshop)
    artifacts = workshop.context.stores.artifacts
    artifacts._bytes.pop(version.report)  # type: ignore[attr-defined]  # as a damaged disk would
    assert "no artifact" in verify_version(workshop.context, version)


def test_what_can_be_asked_about_models(workshop: Workshop) -> None:
    assert in_transaction(workshop, list_models, ListModels())[0].newest is None
    version = made(workshop)
    details = in_transaction(workshop, show_model, ShowModel(model=workshop.model.name))
    assert details.summary.newest == version
    assert details.label == "visits.spent"
    shown = in_transaction(workshop, show_version, ShowVersion(model=workshop.model.name, version=1))
    assert shown.format == "lightgbm"
    assert shown.card.startswith("# boosted")
    assert "lightgbm==" in shown.environment
    assert shown.provenance.run == version.run
    assert shown.size_bytes == sum(shown.files.values())


def test_an_unknown_version_names_the_known_ones(workshop: Workshop) -> None:
    made(workshop)
    with pytest.raises(NotFound, match="there are: 1"):
        in_transaction(workshop, show_version, ShowVersion(model=workshop.model.name, version=9))
