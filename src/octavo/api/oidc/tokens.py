"""The one place where a provider's token is believed: what it must be signed with and by whom, and what it must say."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from importlib.util import find_spec
from typing import Any

from octavo.errors import ConfigurationError, MissingExtra, NotAuthenticated

LEEWAY_S = 30
_MOST_BYTES = 64_000
_ALLOWED_HEADERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
"""Everything else could say by which key or rules a token is to be read, and that is said by nobody but us."""
_KINDS_OF_KEYS = frozenset({"RSA", "EC", "OKP"})
_ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say.

    Attributes
    ----------
    algorithms : sequence of str
        With which it may be signed; asymmetric ones only.
    """

    issuer: str
    client_id: str
    nonce: str
    algorithms: Sequence[str]


class UnknownKey(NotAuthenticated):
    """A token names a key that the provider's set does not have; it may have been changed since."""


def check_settings(algorithms: Sequence[str]) -> None:
    """See that tokens could be verified at all.

    Raises
    ------
    MissingExtra
    ConfigurationError
        If an algorithm is none, or takes a secret that both sides know.
    """
    if find_spec("joserfc") is None:
        raise MissingExtra("oidc", "logging in by OpenID Connect")
    for algorithm in algorithms:
        if algorithm not in _ASYMMETRIC:
            raise ConfigurationError(f"[oidc] algorithms: {algorithm!r} is not one of {', '.join(sorted(_ASYMMETRIC))}")


def usable_keys(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The public keys of a key set by which signatures can be verified; secrets and keys for encryption are none."""
    keys = document.get("keys")
    if not isinstance(keys, list):
        return []
    return [
        key
        for key in keys
        if isinstance(key, dict)
        and key.get("kty") in _KINDS_OF_KEYS
        and key.get("use", "sig") == "sig"
        and "k" not in key
    ]


def verified_claims(
    token: str, keys: Sequence[Mapping[str, Any]], expected: Expected, *, now_s: Callable[[], float] = time.time
) -> dict[str, Any]:
    """What a token says, once everything about it is verified.

    Parameters
    ----------
    keys : sequence of mapping
        Of the provider, as `usable_keys` finds them.

    Raises
    ------
    UnknownKey
        If none of the keys is the one that it names.
    NotAuthenticated
        If anything about it is not as it must be. The reason is for the log, and says nothing of its content.
    """
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import JWSRegistry
    from joserfc.jwt import JWTClaimsRegistry

    header = _checked_header(token, expected)
    key = _key(keys, header)
    try:
        key_set = KeySet.import_key_set({"keys": [dict(key)]})
        registry = JWSRegistry(algorithms=list(expected.algorithms))
        found = jwt.decode(token, key_set, algorithms=list(expected.algorithms), registry=registry)
        JWTClaimsRegistry(
            now=lambda: int(now_s()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": expected.issuer},
            aud={"essential": True, "value": expected.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True},
        ).validate(found.claims)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise NotAuthenticated(f"the provider's token is refused: {type(error).__name__}") from error
    _check_meant_for_us(found.claims, expected)
    return dict(found.claims)


def _checked_header(token: str, expected: Expected) -> dict[str, Any]:
    if len(token) > _MOST_BYTES or token.count(".") != 2 or not token.isascii():
        raise NotAuthenticated("the provider's token is refused: it is no signed token")
    first = token.partition(".")[0]
    try:
        header = json.loads(urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError) as error:
        raise NotAuthenticated("the provider's token is refused: its header cannot be read") from error
    if not isinstance(header, dict) or not header.keys() <= _ALLOWED_HEADERS:
        raise NotAuthenticated("the provider's token is refused: its header says more than it may")
    allowed = _ASYMMETRIC & set(expected.algorithms)
    if header.get("alg") not in allowed:
        raise NotAuthenticated("the provider's token is refused: it is signed in a way that is not allowed here")
    return header


def _key(keys: Sequence[Mapping[str, Any]], header: Mapping[str, Any]) -> Mapping[str, Any]:
    kid = header.get("kid")
    found = [key for key in keys if key.get("kid") == kid] if kid is not None else list(keys)
    if len(found) != 1:
        raise UnknownKey("the provider's token is refused: its key is none of the provider's")
    if found[0].get("alg", header["alg"]) != header["alg"]:
        raise NotAuthenticated("the provider's token is refused: its key is for another algorithm")
    return found[0]


def _check_meant_for_us(claims: Mapping[str, Any], expected: Expected) -> None:
    nonce, audience = claims.get("nonce"), claims.get("aud")
    if not isinstance(nonce, str) or not compare_digest(nonce.encode(), expected.nonce.encode()):
        raise NotAuthenticated("the provider's token is refused: it is not of this login")
    several = isinstance(audience, list) and len(audience) > 1
    if (several or "azp" in claims) and claims.get("azp") != expected.client_id:
        raise NotAuthenticated("the provider's token is refused: it was made for another client")
    if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
        raise NotAuthenticated("the provider's token is refused: it says not of whom it is")
