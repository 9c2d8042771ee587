"""Which types stand in one kept model, and for which library: the list that it is loaded by travels in its bundle.

A type that is not on the list of the bundle is not made, though the list of this version of Octavo may be longer; and
one that is not on that list is not made, whatever a bundle says.
"""

from collections.abc import Set as AbstractSet
from importlib.metadata import PackageNotFoundError, version

import msgspec

from octavo.errors import IntegrityError, MissingExtra

FILE = "trust.json"
_LIBRARY = "scikit-learn"


class OtherLibrary(MissingExtra):
    """The list is for another version of the library than is installed.

    Parameters
    ----------
    wanted, installed : str
    """

    code = "missing_extra"

    def __init__(self, *, wanted: str, installed: str) -> None:
        super().__init__("sklearn", "a scikit-learn model")
        self.message = (
            f"its list of trusted types is for {_LIBRARY} {wanted}, and {installed} is installed; install that, or "
            "train the model again"
        )
        self.args = (self.message,)


class Trust(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The list of one model.

    Attributes
    ----------
    library : str
        The version of scikit-learn by which it was made: the first two numbers.
    types : tuple of str
        Beside those that skops itself trusts.
    """

    library: str
    types: tuple[str, ...]


def encode_trust(types: AbstractSet[str]) -> bytes:
    """The list of a model that is made now."""
    return msgspec.json.encode(Trust(library=_installed(), types=tuple(sorted(types))), order="deterministic")


def trusted_types(data: bytes | None, *, known: frozenset[str]) -> frozenset[str]:
    """The types that may be made.

    Parameters
    ----------
    data : bytes or None
        What `encode_trust` wrote; None for models of before there were such lists.
    known : frozenset of str
        Those that this version of Octavo trusts.

    Raises
    ------
    IntegrityError
        If the list cannot be read, or asks for more than is trusted.
    MissingExtra
        If it is for another version of the library.
    """
    if data is None:
        return known
    try:
        trust = msgspec.json.decode(data, type=Trust)
    except msgspec.MsgspecError as error:
        raise IntegrityError(
            f"the list of trusted types of a model cannot be loaded: {error}; train it again"
        ) from error
    if beyond := sorted(set(trust.types) - known):
        raise IntegrityError(f"a model asks for {', '.join(beyond)} to be trusted, which is not; train it again")
    if trust.library != _installed():
        raise OtherLibrary(wanted=trust.library, installed=_installed())
    return frozenset(trust.types)


def _installed() -> str:
    try:
        return ".".join(version(_LIBRARY).split(".")[:2])
    except PackageNotFoundError as error:
        raise MissingExtra("sklearn", "a scikit-learn model") from error
