"""Model signatures of the OpenSSF, v1.0: a Sigstore bundle over a DSSE envelope over an in-toto statement of all files.

What is written here the OpenSSF's own tool verifies, and the other way round. Two things are stricter here than there:
nothing is left out, whatever a signature says should be, and a signature is of a model's name, too.

References
----------
https://github.com/sigstore/model-transparency, https://github.com/secure-systems-lab/dsse,
https://docs.sigstore.dev/about/bundle
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification

from octavo.errors import IntegrityError

PREDICATE = "https://model_signing/signature/v1.0"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PAYLOAD = "application/vnd.in-toto+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_CURVES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedModel:
    """What a signature is of.

    Attributes
    ----------
    files : mapping of name to str
        SHA-256 of each, 64 hex digits.
    signer : str
        Whose key made it: a certificate's subject, or ``key`` and the first digits of the key's hash.
    """

    name: str
    files: Mapping[str, str]
    signer: str

    def check(self, name: str, files: Mapping[str, str]) -> None:
        """Check that it is of a model, and of nothing more or less.

        Raises
        ------
        IntegrityError
            If it is of another one, or a file was added, removed or changed.
        """
        if self.name != name:
            raise IntegrityError(f"the model signature is of {self.name!r}, not of {name!r}")
        for what, names in (
            ("holds {}, which is not signed", files.keys() - self.files.keys()),
            ("lacks {}, which is signed", self.files.keys() - files.keys()),
            ("holds {} in another state than was signed", {n for n in self.files if files.get(n) != self.files[n]}),
        ):
            if names:
                raise IntegrityError(f"the model {name!r} {what.format(repr(sorted(names)[0]))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """What a model is signed with.

    Attributes
    ----------
    chain : tuple of certificates
        That of the key first, then those that issued it; empty to sign by the key alone.
    """

    private: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who is believed: either a public key or whoever has a certificate from certain authorities."""

    key: ec.EllipticCurvePublicKey | None = None
    roots: tuple[x509.Certificate, ...] = ()


def sign_model(name: str, files: Mapping[str, str], key: SigningKey) -> bytes:
    """A Sigstore bundle, JSON.

    Parameters
    ----------
    name : str
        What the model's folder is called where the signature is verified.
    files : mapping of name to str
        SHA-256 of each, 64 hex digits.
    """
    payload = _statement(name, files)
    signature = key.private.sign(_framed(payload), ec.ECDSA(_hash_of(key.private.public_key())))
    return msgspec.json.encode(
        {
            "mediaType": _BUNDLE,
            "verificationMaterial": {**_material(key), "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _text(payload),
                "payloadType": _PAYLOAD,
                "signatures": [{"sig": _text(signature), "keyid": ""}],
            },
        }
    )


def verify_model(bundle: bytes, trust: Trust) -> SignedModel:
    """What a signature is of, if somebody who is believed made it.

    A certificate is judged as of when it began to be valid, since nothing says when it signed.

    Raises
    ------
    IntegrityError
        If the bundle cannot be read, or is not of whom is believed.
    """
    try:
        document = msgspec.json.decode(bundle, type=dict[str, Any])
        material, envelope = document["verificationMaterial"], document["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        (only,) = envelope["signatures"]
        signature = base64.b64decode(only["sig"], validate=True)
        kinds = (document["mediaType"], envelope["payloadType"])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"this is no model signature that can be read: {error}") from error
    if kinds != (_BUNDLE, _PAYLOAD):
        raise IntegrityError(f"this is no model signature: it is of type {' and '.join(map(str, kinds))}")
    public, signer = _believed(material, trust)
    try:
        public.verify(signature, _framed(payload), ec.ECDSA(_hash_of(public)))
    except InvalidSignature as error:
        raise IntegrityError("the model signature does not fit what it is over; one of both was changed") from error
    return _signed(payload, signer)


def fingerprint(public: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a public key's PEM, 64 hex digits: how signatures name it."""
    return hashlib.sha256(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _statement(name: str, files: Mapping[str, str]) -> bytes:
    ordered = sorted(files, key=PurePosixPath)
    resources = [{"name": one, "algorithm": "sha256", "digest": files[one]} for one in ordered]
    return msgspec.json.encode(
        {
            "_type": _STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": _root(files[one] for one in ordered)}}],
            "predicateType": PREDICATE,
            "predicate": {
                "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
                "resources": resources,
            },
        }
    )


def _signed(payload: bytes, signer: str) -> SignedModel:
    try:
        statement = msgspec.json.decode(payload, type=dict[str, Any])
        (subject,) = statement["subject"]
        predicate = statement["predicate"]
        resources, how = predicate["resources"], predicate["serialization"]
        files = {str(one["name"]): str(one["digest"]) for one in resources}
        algorithms = {one["algorithm"] for one in resources}
        root = _root(str(one["digest"]) for one in resources)
        kinds = (statement["_type"], statement["predicateType"], how["method"], how["hash_type"])
        name, said = str(subject["name"]), subject["digest"]["sha256"]
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"the model signature is over no list of files that can be read: {error}") from error
    if kinds != (_STATEMENT, PREDICATE, "files", "sha256") or algorithms - {"sha256"}:
        raise IntegrityError(
            f"the model signature lists files by {how['method']} and {how['hash_type']} under {kinds[1]}; only whole "
            f"files, by sha256, under {PREDICATE} are read here"
        )
    if root != said or len(files) != len(resources):
        raise IntegrityError("the model signature contradicts itself: its files are not those that it sums up")
    return SignedModel(name=name, files=files, signer=signer)


def _root(digests: Any) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(one) for one in digests)).hexdigest()


def _material(key: SigningKey) -> dict[str, Any]:
    if not key.chain:
        return {"publicKey": {"hint": fingerprint(key.private.public_key())}}
    certificates = [{"rawBytes": _text(one.public_bytes(Encoding.DER))} for one in key.chain]
    return {"x509CertificateChain": {"certificates": certificates}}


def _believed(material: Any, trust: Trust) -> tuple[ec.EllipticCurvePublicKey, str]:
    """The key to verify by, and whose it is; what the signature brings along is only believed if roots vouch for it."""
    if trust.key is not None:
        hint = (material.get("publicKey") or {}).get("hint") if isinstance(material, dict) else None
        if hint != fingerprint(trust.key):
            raise IntegrityError(
                f"the model signature is of key {str(hint)[:16]}, but only {fingerprint(trust.key)[:16]} is trusted"
            )
        return trust.key, f"key {hint[:16]}"
    try:
        given = material["x509CertificateChain"]["certificates"]
        leaf, *between = (x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"])) for one in given)
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("the model signature brings no certificate, but only certificates are trusted") from error
    return _vouched(leaf, between, trust.roots), leaf.subject.rfc4514_string()


def _vouched(
    leaf: x509.Certificate, between: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> ec.EllipticCurvePublicKey:
    policy = verification.PolicyBuilder().store(verification.Store(list(roots))).time(leaf.not_valid_before_utc)
    policy = policy.extension_policies(
        ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=verification.ExtensionPolicy.permit_all()
    )
    try:
        policy.build_client_verifier().verify(leaf, list(between))
    except (verification.VerificationError, ValueError) as error:
        raise IntegrityError(f"nobody who is trusted vouches for the model signature's certificate: {error}") from error
    public = leaf.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not _may_sign(leaf):
        raise IntegrityError("the model signature's certificate is not one for signing with an elliptic curve")
    return public


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        pass
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return x509.oid.ExtendedKeyUsageOID.CODE_SIGNING in usage


def _hash_of(public: ec.EllipticCurvePublicKey) -> hashes.HashAlgorithm:
    known = _CURVES.get(public.curve.name)
    if known is None:
        raise IntegrityError(f"models are signed by keys on {', '.join(_CURVES)}, not on {public.curve.name}")
    return known()


def _framed(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
