"""The provider of the settings: where its doors are, its keys, and how a code is redeemed."""

import threading
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from octavo.access_settings import OidcSettings
from octavo.api.oidc.fetching import check_address, fetch_json
from octavo.api.oidc.tokens import Expected, UnknownKey, check_settings, usable_keys, verified_claims
from octavo.errors import ConfigurationError, NotAuthenticated, Unavailable
from octavo.governance.access.groups import read_mapping
from octavo.stores.urls import secret

CALLBACK = "/login/oidc/callback"
_KNOWN_S, _AGAIN_S = 3_600.0, 30.0


class Provider:
    """Asks the provider; safe to use from several threads.

    Parameters
    ----------
    settings : OidcSettings
    fetch : callable
        As `fetch_json`.

    Raises
    ------
    ConfigurationError
        If a setting is missing or cannot be.
    """

    def __init__(self, settings: OidcSettings, *, fetch: Callable[..., Any] = fetch_json) -> None:
        for name in ("client_id", "url"):
            if not getattr(settings, name):
                raise ConfigurationError(f"[oidc] {name} is empty; the provider at {settings.issuer} needs it")
        check_address(settings.issuer)
        check_address(settings.url)
        check_settings(settings.algorithms)
        for line in settings.roles:
            read_mapping(line)
        self._settings, self._fetch = settings, fetch
        self._lock = threading.Lock()
        self._about: dict[str, Any] = {}
        self._keys: list[dict[str, Any]] = []
        self._about_s = self._keys_s = float("-inf")

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends browsers back to."""
        return self._settings.url.rstrip("/") + CALLBACK

    def address(self, *, state: str, nonce: str, challenge: str) -> str:
        """Where a browser is sent to log in."""
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        door = self._door("authorization_endpoint")
        return f"{door}{'&' if '?' in door else '?'}{urlencode(asked)}"

    def redeem(self, code: str, *, verifier: str, nonce: str) -> dict[str, Any]:
        """Who logged in: the claims of the token that a code is good for.

        Raises
        ------
        NotAuthenticated
            If the provider takes the code not, or its token is not as it must be.
        Unavailable
            If the provider does not answer.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        answer = self._fetch(self._door("token_endpoint"), form=form, headers=self._credentials())
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise NotAuthenticated("the provider sent no token")
        expected = Expected(
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=nonce,
            algorithms=self._settings.algorithms,
        )
        try:
            return verified_claims(token, self._known_keys(), expected)
        except UnknownKey:
            return verified_claims(token, self._known_keys(again=True), expected)

    def _credentials(self) -> dict[str, str]:
        if not self._settings.client_secret:
            return {}
        pair = f"{quote(self._settings.client_id, safe='')}:{quote(secret(self._settings.client_secret), safe='')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def _door(self, name: str) -> str:
        url = self._described().get(name)
        if not isinstance(url, str):
            raise Unavailable(f"the provider at {self._settings.issuer} does not say its {name}")
        check_address(url)
        return url

    def _described(self) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() - self._about_s > _KNOWN_S:
                address = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                about = self._fetch(address)
                if about.get("issuer") != self._settings.issuer:
                    raise NotAuthenticated("the provider says that it is another issuer than the settings do")
                self._about, self._about_s = about, time.monotonic()
            return self._about

    def _known_keys(self, *, again: bool = False) -> list[dict[str, Any]]:
        """The provider's keys, as it published them not long ago."""
        address = self._door("jwks_uri")
        with self._lock:
            age_s = time.monotonic() - self._keys_s
            if age_s > _KNOWN_S or (again and age_s > _AGAIN_S):
                self._keys, self._keys_s = usable_keys(self._fetch(address)), time.monotonic()
            return self._keys
