"""Model signatures of the OpenSSF: what is refused, and that its own tool and ours read each other's."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from octavo.config import Config, SigningSettings
from octavo.errors import ConfigurationError, IntegrityError
from octavo.registry.model_keys import public_key_file, signing_key, trust
from octavo.registry.model_signatures import SignedModel, SigningKey, Trust, sign_model, verify_model

FILES = {"bundle.json": b"{}", "model/model.txt": b"tree", "model-card.md": b"# card", "code/project.py": b"pass\n"}
DIGESTS = {name: sha256(data).hexdigest() for name, data in FILES.items()}
KEY = ec.generate_private_key(ec.SECP256R1())
OWN = Trust(key=KEY.public_key())


def signed(**changes: Any) -> bytes:
    said: dict[str, Any] = {"name": "eta-1", "files": DIGESTS, "key": SigningKey(private=KEY)}
    said |= changes
    return sign_model(said["name"], said["files"], said["key"])


def test_a_signature_is_of_a_name_and_every_file() -> None:
    found = verify_model(signed(), OWN)
    found.check("eta-1", DIGESTS)
    assert (found.name, found.files) == ("eta-1", DIGESTS)


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("eta-2", DIGESTS, "is of 'eta-1', not of 'eta-2'"),
        ("eta-1", {**DIGESTS, ".git/config": "0" * 64}, r"holds '\.git/config', which is not signed"),
        ("eta-1", {name: DIGESTS[name] for name in list(DIGESTS)[1:]}, "lacks 'bundle.json', which is signed"),
        ("eta-1", {**DIGESTS, "bundle.json": "0" * 64}, "holds 'bundle.json' in another state"),
    ],
)
def test_another_model_is_refused(name: str, files: Mapping[str, str], reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason):
        verify_model(signed(), OWN).check(name, files)


def test_a_signature_by_another_key_is_refused() -> None:
    other = Trust(key=ec.generate_private_key(ec.SECP256R1()).public_key())
    with pytest.raises(IntegrityError, match="is trusted"):
        verify_model(signed(), other)


def test_a_key_that_the_signature_only_claims_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    document = json.loads(signed(key=SigningKey(private=other)))
    document["verificationMaterial"] = json.loads(signed())["verificationMaterial"]
    with pytest.raises(IntegrityError, match="does not fit"):
        verify_model(json.dumps(document).encode(), OWN)


def test_what_was_changed_after_it_was_signed_is_refused() -> None:
    document = json.loads(signed())
    payload = base64.b64decode(document["dsseEnvelope"]["payload"]).replace(b"eta-1", b"eta-2")
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(IntegrityError, match="does not fit what it is over"):
        verify_model(json.dumps(document).encode(), OWN)


@pytest.mark.parametrize("bundle", [b"", b"[]", b"{}", b'{"mediaType": 1}', signed()[:-20], b"\xff"])
def test_what_is_no_signature_is_refused(bundle: bytes) -> None:
    with pytest.raises(IntegrityError, match="no model signature"):
        verify_model(bundle, OWN)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_larger_curves_sign_too(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    verify_model(signed(key=SigningKey(private=key)), Trust(key=key.public_key())).check("eta-1", DIGESTS)


# Certificates.


def name_of(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey, *, is_ca: bool
) -> x509.Certificate:
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    usage = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only", "crl_sign"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(subject))
        .issuer_name(name_of(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_ca, content_commitment=False, key_cert_sign=is_ca, **usage),
            critical=True,
        )
    )
    return builder.sign(by, hashes.SHA256())


ROOT_KEY, BETWEEN_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
ROOT = certificate("root", ROOT_KEY, "root", ROOT_KEY, is_ca=True)
BETWEEN = certificate("team", BETWEEN_KEY, "root", ROOT_KEY, is_ca=True)
LEAF = certificate("models", KEY, "team", BETWEEN_KEY, is_ca=False)
CHAINED = SigningKey(private=KEY, chain=(LEAF, BETWEEN))


def test_a_certificate_is_believed_if_a_root_vouches_for_it() -> None:
    found = verify_model(signed(key=CHAINED), Trust(roots=(ROOT,)))
    found.check("eta-1", DIGESTS)
    assert found.signer == "CN=models"


def test_a_certificate_of_nobody_who_is_trusted_is_refused() -> None:
    other = certificate("root", KEY, "root", KEY, is_ca=True)
    with pytest.raises(IntegrityError, match="nobody who is trusted"):
        verify_model(signed(key=CHAINED), Trust(roots=(other,)))


def test_a_certificate_that_may_not_sign_is_refused() -> None:
    authority = SigningKey(private=BETWEEN_KEY, chain=(BETWEEN,))
    with pytest.raises(IntegrityError, match=r"is not one for signing|nobody who is trusted"):
        verify_model(signed(key=authority), Trust(roots=(ROOT,)))


def test_a_leaf_that_plays_an_authority_is_refused() -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    forged = certificate("forged", own, "models", KEY, is_ca=False)
    with pytest.raises(IntegrityError, match="nobody who is trusted"):
        verify_model(signed(key=SigningKey(private=own, chain=(forged, LEAF, BETWEEN))), Trust(roots=(ROOT,)))


def test_a_key_without_a_certificate_is_refused_where_certificates_are_trusted() -> None:
    with pytest.raises(IntegrityError, match="brings no certificate"):
        verify_model(signed(), Trust(roots=(ROOT,)))


# What the settings say.


def test_the_default_key_is_made_once_and_private(tmp_path: Path) -> None:
    config = Config(root=tmp_path)
    first, second = signing_key(config), signing_key(config)
    assert first.private.private_numbers() == second.private.private_numbers()
    assert (tmp_path / ".octavo" / "keys" / "models.pem").stat().st_mode & 0o777 == 0o600
    assert public_key_file(config).read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    verify_model(signed(key=first), trust(config))


def test_a_key_and_its_certificate_come_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_KEY", pem(KEY).decode())
    write_chain(tmp_path)
    settings = SigningSettings(
        method="certificate", key="env:MODEL_KEY", certificate="file:chain.pem", roots="file:root.pem"
    )
    config = Config(root=tmp_path, signing=settings)
    verify_model(signed(key=signing_key(config)), trust(config)).check("eta-1", DIGESTS)
    other = Config(root=tmp_path, signing=replace(settings, certificate="file:root.pem"))
    with pytest.raises(ConfigurationError, match="is of another key"):
        signing_key(other)


def test_a_key_that_is_none_is_refused_without_being_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_KEY", "canary-secret")
    config = Config(root=tmp_path, signing=SigningSettings(key="env:MODEL_KEY"))
    with pytest.raises(ConfigurationError, match="holds no private key") as caught:
        signing_key(config)
    assert "canary-secret" not in str(caught.value)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_chain(folder: Path) -> None:
    for file, certificates in {
        "chain.pem": (LEAF, BETWEEN),
        "leaf.pem": (LEAF,),
        "between.pem": (BETWEEN,),
        "root.pem": (ROOT,),
    }.items():
        (folder / file).write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    (folder / "key.pem").write_bytes(pem(KEY))
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pub").write_bytes(public)


# The OpenSSF's own tool, in an environment of its own.


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``model_signing``; skipped with the reason where it cannot be installed."""
    folder, uv = tmp_path_factory.mktemp("model-signing"), shutil.which("uv")
    if uv is None:
        pytest.skip("uv, which makes the environment of the OpenSSF's tool, is not installed")
    made = subprocess.run(
        [uv, "venv", "-q", "--python", sys.executable, str(folder / "venv")], capture_output=True, text=True
    )
    installed = subprocess.run(
        [uv, "pip", "install", "-q", "--python", str(folder / "venv"), "model-signing==1.1.1", "pyopenssl"],
        capture_output=True,
        text=True,
    )
    if made.returncode or installed.returncode:
        pytest.skip(f"model-signing cannot be installed here: {(made.stderr + installed.stderr)[-300:]}")
    return folder / "venv" / "bin" / "model_signing"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model's files as they are handed on, and keys beside them."""
    for name, data in FILES.items():
        (tmp_path / "eta-1" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "eta-1" / name).write_bytes(data)
    write_chain(tmp_path)
    return tmp_path


def run(tool: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(tool), *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_openssfs_tool_verifies_what_is_signed_here(tool: Path, folder: Path) -> None:
    for signature, how in (
        (signed(), ["key", "--public_key", "key.pub"]),
        (signed(key=CHAINED), ["certificate", "--certificate_chain", "root.pem"]),
    ):
        (folder / "eta-1.sig").write_bytes(signature)
        done = run(tool, folder, "verify", *how, "--signature", "eta-1.sig", "eta-1")
        assert (done.returncode, "succeeded" in done.stdout + done.stderr) == (0, True), done.stdout + done.stderr
    (folder / "eta-1" / "bundle.json").write_bytes(b"{ }")
    failed = run(tool, folder, "verify", "key", "--public_key", "key.pub", "--signature", "eta-1.sig", "eta-1")
    assert failed.returncode != 0


def test_what_the_openssfs_tool_signs_is_verified_here(tool: Path, folder: Path) -> None:
    run(tool, folder, "sign", "key", "--private_key", "key.pem", "--signature", "by-key.sig", "eta-1")
    chain = ["--signing_certificate", "leaf.pem", "--certificate_chain", "between.pem"]
    run(tool, folder, "sign", "certificate", "--private_key", "key.pem", *chain, "--signature", "by-one.sig", "eta-1")
    found = [
        verify_model((folder / "by-key.sig").read_bytes(), OWN),
        verify_model((folder / "by-one.sig").read_bytes(), Trust(roots=(ROOT,))),
    ]
    for one in found:
        one.check("eta-1", DIGESTS)
    assert isinstance(found[0], SignedModel)
