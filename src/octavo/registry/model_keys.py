"""With which key a project signs models for the world, and whom it believes, as ``[signing]`` says."""

import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from octavo.access import write_private
from octavo.config import Config, SigningSettings
from octavo.errors import ConfigurationError
from octavo.registry.model_signatures import SigningKey, Trust
from octavo.stores.urls import secret

_MADE_HERE = SigningSettings().key


def signing_key(config: Config) -> SigningKey:
    """The key to sign with; the default one is made at its first use.

    Raises
    ------
    ConfigurationError
        If there is none, or it is none on an elliptic curve, or its certificate is of another key.
    """
    settings = config.signing
    if settings.key == _MADE_HERE and not (place := _place(config, settings.key)).exists():
        _create_key(place)
    try:
        private = load_pem_private_key(_text(config, settings.key).encode(), None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"[signing] key holds no private key without a password: {error}") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ConfigurationError("[signing] key is on no elliptic curve; make one: openssl ecparam -name prime256v1")
    if settings.key == _MADE_HERE and not public_key_file(config).exists():
        _write_public(_place(config, settings.key), private)
    if settings.method == "key":
        return SigningKey(private=private)
    chain = _certificates(config, settings.certificate, setting="certificate")
    if chain[0].public_key() != private.public_key():
        raise ConfigurationError("[signing] certificate is of another key than key; the key's own stands first")
    return SigningKey(private=private, chain=chain)


def trust(config: Config) -> Trust:
    """Whom a project believes about its models: its own public key, or those roots.

    Raises
    ------
    ConfigurationError
        If neither can be read.
    """
    if config.signing.method == "certificate":
        return Trust(roots=_certificates(config, config.signing.roots, setting="roots"))
    public = public_key_file(config)
    if config.signing.key == _MADE_HERE and public.exists():
        return Trust(key=read_public_key(public))
    return Trust(key=signing_key(config).private.public_key())


def public_key_file(config: Config) -> Path:
    """Where the public half of the default key stands, PEM: what others verify by."""
    return _place(config, _MADE_HERE).with_suffix(".pub")


def read_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """A public key on an elliptic curve, PEM.

    Raises
    ------
    ConfigurationError
        If the file holds none.
    """
    try:
        public = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no public key: {error}") from error
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ConfigurationError(f"{path} holds a key on no elliptic curve")
    return public


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Certificates, PEM, one after the other.

    Raises
    ------
    ConfigurationError
        If the file holds none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no certificates: {error}") from error


def _certificates(config: Config, reference: str, *, setting: str) -> tuple[x509.Certificate, ...]:
    if not reference:
        raise ConfigurationError(
            f'[signing] {setting} is not given, which method = "certificate" needs; write file:PATH or env:NAME'
        )
    try:
        return tuple(x509.load_pem_x509_certificates(_text(config, reference).encode()))
    except ValueError as error:
        raise ConfigurationError(f"[signing] {setting} holds no certificates, PEM: {error}") from error


def _text(config: Config, reference: str) -> str:
    kind, _, place = reference.partition(":")
    return secret(f"file:{config.root / place}" if kind == "file" else reference)


def _place(config: Config, reference: str) -> Path:
    return config.root / reference.partition(":")[2]


def _create_key(path: Path) -> None:
    """Make a key on P-256; of several processes that do so at once one succeeds, and all sign with the same."""
    private = ec.generate_private_key(ec.SECP256R1())
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_private(scratch, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        path.hardlink_to(scratch)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()


def _write_public(path: Path, private: ec.EllipticCurvePrivateKey) -> None:
    """Write the public half beside a key, for everybody to read."""
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_private(path.with_suffix(".pub"), public)
    path.with_suffix(".pub").chmod(0o644)
