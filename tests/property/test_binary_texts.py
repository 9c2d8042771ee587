"""Elements of BYTES are divided by their lengths, however short the way to it is."""

from hypothesis import given
from hypothesis import strategies as st

from octavo.errors import InvalidRequest
from octavo.serving.columns import Words, plain
from octavo.serving.tensors import bytes_of_texts, from_bytes

words = st.sampled_from(["west", "east", "Łódź", "a\0", "\0b", "x" * 255]) | st.text(
    st.characters(exclude_categories=["Cs"]) | st.just("\0"), max_size=300
)


def walked(data: bytes, n_values: int) -> list[str] | None:
    """The texts, one after the other; None if they are not as many, or not whole."""
    texts, at = [], 0
    while at < len(data):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data):
            return None
        try:
            texts.append(data[start:at].decode())
        except UnicodeDecodeError:
            return None
    return texts if len(texts) == n_values else None


def read(data: bytes, n_values: int) -> list[str] | None:
    try:
        tensor = from_bytes(memoryview(data), name="t", place="inputs[0]", datatype="BYTES", shape=(n_values,))
    except InvalidRequest:
        return None
    return plain(tensor.column())  # type: ignore[return-value]  # texts


@given(st.lists(words, max_size=30))
def test_texts_are_read_as_they_were_sent(texts: list[str]) -> None:
    assert read(bytes_of_texts(texts), len(texts)) == texts


@given(st.lists(words.filter(bool), min_size=9, max_size=20), st.data())
def test_any_bytes_are_divided_as_by_a_walk(texts: list[str], data: st.DataObject) -> None:
    sent = bytes_of_texts(texts)
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(sent))] * 2)))
    other = data.draw(st.sampled_from([b"", b"\0", b"\0\0\0", b"\1", b"\xff", b"\1\0\0\0a", sent[first : first + 1]]))
    n_values = len(texts) + data.draw(st.sampled_from([0, 0, 0, -1, 1, 2**62]))
    for changed in (sent[:first] + other + sent[first + 1 :], sent[:first] + other + sent[last:]):
        assert read(changed, n_values) == walked(changed, n_values)


def test_many_short_texts_are_words_each_once() -> None:
    data = bytes_of_texts(["west", "north", "west", "west"] * 5)
    column = from_bytes(memoryview(data), name="t", place="inputs[0]", datatype="BYTES", shape=(20,)).column()
    assert isinstance(column, Words)
    assert column.words == ["west", "north"]
