"""Keys: how they read, and what is refused without a look."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.access.keys import ALPHABET, checksum, looks_like_key, make_key, read_key
from octavo.access.tokens import sha256_of
from octavo.errors import NotAuthenticated


def test_a_key_reads_prefix_id_secret_and_checksum() -> None:
    key = make_key()
    match = re.fullmatch(r"octavo_([0-9A-Za-z]{10})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", key.text)
    assert match is not None
    assert (match[1], sha256_of(match[2])) == (key.id, key.secret_sha256)
    assert match[2] not in repr((key.id, key.secret_sha256))


def test_what_is_sent_is_known_by_its_id_and_the_hash_of_its_secret() -> None:
    key = make_key()
    sent = read_key(key.text)
    assert (sent.id, sent.secret_sha256) == (key.id, key.secret_sha256)


def test_no_two_keys_are_the_same() -> None:
    keys = [make_key() for _ in range(200)]
    assert len({key.id for key in keys}) == len({key.secret_sha256 for key in keys}) == 200


@given(place=st.integers(min_value=7, max_value=65), digit=st.sampled_from(ALPHABET))
def test_a_wrong_character_anywhere_is_found_without_a_lookup(place: int, digit: str) -> None:
    text = make_key().text
    wrong = text[:place] + digit + text[place + 1 :]
    if wrong == text or wrong[place] == "_" or text[place] == "_":
        return
    with pytest.raises(NotAuthenticated, match="checksum"):
        read_key(wrong)


@given(st.text(max_size=100))
def test_any_other_text_is_no_key(text: str) -> None:
    if not looks_like_key(text):
        with pytest.raises(NotAuthenticated, match="is not a key"):
            read_key(text)


def test_a_token_of_this_machine_is_not_taken_for_a_key() -> None:
    assert not looks_like_key("octavo_00000000_" + "0" * 64)


def test_the_checksum_is_crc32_in_base62() -> None:
    assert checksum("") == "000000"
    assert checksum("123456789") == _base62(0xCBF43926)  # the check value of CRC-32/ISO-HDLC


def _base62(number: int) -> str:
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits
