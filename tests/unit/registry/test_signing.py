"""Signatures: of one key, for one purpose, over exact bytes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from octavo.errors import ConfigurationError, IntegrityError
from octavo.registry.signing import Signature, Signer, Verifier


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "keys" / "release.key")


def test_a_signature_fits_what_was_signed(signer: Signer) -> None:
    signer.verifier.verify("purpose", b"payload", signer.sign("purpose", b"payload"))


@pytest.mark.parametrize(("purpose", "payload"), [("other", b"payload"), ("purpose", b"other"), ("purpose", b"")])
def test_a_signature_does_not_fit_another_purpose_or_payload(signer: Signer, purpose: str, payload: bytes) -> None:
    with pytest.raises(IntegrityError, match="does not fit the bytes"):
        signer.verifier.verify(purpose, payload, signer.sign("purpose", b"payload"))


def test_purpose_and_payload_cannot_lend_each_other_bytes(signer: Signer) -> None:
    with pytest.raises(IntegrityError):
        signer.verifier.verify("a", b"b 1 c", signer.sign("a 1 b", b"c"))


def test_a_signature_of_another_key_is_refused_by_its_name(signer: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path / "other.key")
    with pytest.raises(IntegrityError, match=f"only {signer.verifier.key_id} is trusted"):
        signer.verifier.verify("purpose", b"payload", other.sign("purpose", b"payload"))


def test_a_signature_under_another_keys_name_is_refused(signer: Signer, tmp_path: Path) -> None:
    forged = replace(Signer(tmp_path / "other.key").sign("purpose", b"payload"), key_id=signer.verifier.key_id)
    with pytest.raises(IntegrityError, match="does not fit the bytes"):
        signer.verifier.verify("purpose", b"payload", forged)


@pytest.mark.parametrize("value", ["", "zz", "00" * 64, "00" * 65])
def test_what_is_no_signature_is_refused(signer: Signer, value: str) -> None:
    with pytest.raises(IntegrityError):
        signer.verifier.verify("purpose", b"payload", Signature(key_id=signer.verifier.key_id, value=value))


def test_the_key_is_made_once_and_is_for_its_owner_alone(signer: Signer, tmp_path: Path) -> None:
    assert Signer(tmp_path / "keys" / "release.key").verifier.key_id == signer.verifier.key_id
    assert (tmp_path / "keys" / "release.key").stat().st_mode & 0o077 == 0
    assert sorted(file.name for file in (tmp_path / "keys").iterdir()) == ["release.key", "release.pub"]


def test_of_many_that_need_a_key_at_once_all_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "release.key"
    with ThreadPoolExecutor(8) as pool:
        found = {signer.verifier.key_id for signer in pool.map(lambda _: Signer(path), range(8))}
    assert found == {Verifier.load(path.with_suffix(".pub")).key_id}


def test_a_lost_public_key_is_written_again(signer: Signer, tmp_path: Path) -> None:
    public = tmp_path / "keys" / "release.pub"
    public.unlink()
    Signer(tmp_path / "keys" / "release.key")
    assert Verifier.load(public).key_id == signer.verifier.key_id


@pytest.mark.parametrize("content", [None, "", "not hex", "00"])
def test_without_a_trusted_key_nothing_is_verified(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "release.pub"
    if content is not None:
        path.write_text(content, encoding="ascii")
    with pytest.raises(ConfigurationError, match="no trusted public key"):
        Verifier.load(path)


@pytest.mark.parametrize("content", ["", "not hex", "00"])
def test_a_damaged_private_key_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "release.key"
    path.write_text(content, encoding="ascii")
    with pytest.raises(ConfigurationError, match="restore it from a backup"):
        Signer(path)
