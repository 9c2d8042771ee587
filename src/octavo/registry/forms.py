"""The forms in which a model is served, and which answers how many rows. Light: a predictor imports it."""

from enum import StrEnum
from itertools import pairwise

import msgspec

from octavo.errors import IntegrityError


class Form(StrEnum):
    """How a model is run."""

    COMPILED = "onnx"
    NATIVE = "native"
    """By its own library."""
    TREES = "trees"
    """By loops of ours over the trees as arrays."""
    LINEAR = "linear"
    """By a loop of ours over what each number weighs and each word is worth."""


class FormChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A form, and the fewest rows that it answers."""

    form: Form
    from_rows: int


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many microseconds a form took for a batch of so many rows."""

    form: Form
    rows: int
    us: float


class Forms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which forms serve.

    Attributes
    ----------
    forms : tuple of FormChoice
        By rising `from_rows`, the first from 1 on.
    measured : tuple of Measured
        When the model was packed, on the machine that packed it.
    uncompiled : str
        Why there is no compiled form; empty if there is one.
    """

    forms: tuple[FormChoice, ...]
    measured: tuple[Measured, ...] = ()
    uncompiled: str = ""

    @property
    def used(self) -> tuple[Form, ...]:
        """Each form that answers some number of rows."""
        return tuple(dict.fromkeys(choice.form for choice in self.forms))

    @property
    def words(self) -> str:
        """As it stands on pages: ``onnx, from 256 rows native``."""
        return ", ".join(
            one.form if one.from_rows == 1 else f"from {one.from_rows} rows {one.form}" for one in self.forms
        )


def alone(form: Form) -> Forms:
    """One form for any number of rows."""
    return Forms(forms=(FormChoice(form=form, from_rows=1),))


COMPILED_ALONE = alone(Form.COMPILED)


def decode_forms(data: bytes | None) -> Forms:
    """The forms of a bundle; the compiled one alone for a bundle of the time when there was no other.

    Raises
    ------
    IntegrityError
        If the bytes are none.
    """
    if data is None:
        return COMPILED_ALONE
    try:
        forms = msgspec.json.decode(data, type=Forms)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"these bytes do not say how a model is served: {error}; pack it again") from error
    check_forms(forms)
    return forms


def check_forms(forms: Forms) -> None:
    """Refuse forms that do not say what answers each number of rows.

    Raises
    ------
    IntegrityError
    """
    rows = [choice.from_rows for choice in forms.forms]
    if rows[:1] != [1] or any(before >= after for before, after in pairwise(rows)):
        raise IntegrityError(f"the forms of a model are from {rows} rows on, which must rise from 1; pack it again")


def encode_forms(forms: Forms) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(forms, order="deterministic")
