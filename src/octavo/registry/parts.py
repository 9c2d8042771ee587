"""The parts of a bundle: models beside the parent, each for one word of a category. Light: a predictor imports it.

All are of the format that the manifest tells of the whole: nothing in this document says how far a file is trusted.
"""

from collections.abc import Mapping

import msgspec

from octavo.definitions.plans import LookupPlan
from octavo.errors import IntegrityError
from octavo.registry.forms import Forms, check_forms

PARTS, PARTS_FOLDER = "parts.json", "parts/"


class KeptPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One part.

    Attributes
    ----------
    word : str
        Whose rows it answers.
    folder : str
        Where its files are in the bundle: ``parts/0/``.
    """

    word: str
    folder: str
    forms: Forms


class Parts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All parts.

    Attributes
    ----------
    by : str
        The category that says which part answers.
    """

    by: str
    parts: tuple[KeptPart, ...]

    def by_place(self, plan: LookupPlan) -> Mapping[int, KeptPart]:
        """Each part by the place of its word.

        Raises
        ------
        IntegrityError
            If the plan does not know the category or a word, or two parts are for one word.
        """
        if self.by not in plan.categories:
            raise IntegrityError(f"the parts are by {self.by!r}, which is no category of the plan; pack it again")
        places = {word: place for place, word in enumerate(plan.categories[self.by])}
        if len({part.word for part in self.parts}) < len(self.parts):
            raise IntegrityError(f"two parts are for one word of {self.by!r}; pack it again")
        if unknown := [part.word for part in self.parts if part.word not in places]:
            raise IntegrityError(f"part {unknown[0]!r} is for no word of {self.by!r} in the plan; pack it again")
        return {places[part.word]: part for part in self.parts}


def decode_parts(data: bytes) -> Parts:
    """The parts of a bundle.

    Raises
    ------
    IntegrityError
        If the bytes are none.
    """
    try:
        parts = msgspec.json.decode(data, type=Parts)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{PARTS} of the bundle cannot be read: {error}; pack it again") from error
    for part in parts.parts:
        check_forms(part.forms)
        if not part.folder.startswith(PARTS_FOLDER):
            raise IntegrityError(
                f"part {part.word!r} is said to be in {part.folder!r}, where no part is; pack it again"
            )
    return parts


def encode_parts(parts: Parts) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(parts, order="deterministic")
