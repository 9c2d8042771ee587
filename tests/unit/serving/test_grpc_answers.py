"""Answers that are written field by field are what protobuf would have written."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from octavo.serving.answers import Predictions, Share, StatusWords
from octavo.serving.grpc.answers import encode_response
from octavo.serving.grpc.messages import ModelInferResponse
from octavo.serving.ids import IdMaker
from octavo.serving.inference import OUTPUTS, raw_output

WORDS = StatusWords(["x"])


def by_protobuf(answer: Predictions, wanted: tuple[str, ...], *, id: str, version: int, raw: bool) -> Any:
    """The same answer, made as anybody makes a message."""
    response = ModelInferResponse(model_name=answer.deployment, model_version=str(version), id=id)
    if answer.degraded:
        response.parameters["degraded"].bool_param = True
    for name in wanted:
        output = response.outputs.add(name=name, datatype=OUTPUTS[name], shape=[len(answer)])
        if raw:
            response.raw_output_contents.append(raw_output(name, answer))
        elif name == "id":
            output.contents.bytes_contents.extend(text.encode() for text in answer.ids.texts)
        elif name == "prediction":
            output.contents.fp64_contents.extend(answer.values.tolist())
        else:
            output.contents.int64_contents.extend(answer.versions.tolist())
    return response


@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50),
    versions=st.lists(st.integers(1, 10**6), min_size=1, max_size=2),
    wanted=st.permutations(list(OUTPUTS)).flatmap(lambda names: st.integers(0, 3).map(lambda n: tuple(names[:n]))),
    id=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    degraded=st.booleans(),
    raw=st.booleans(),
)
def test_an_answer_is_the_message_that_protobuf_makes(
    values: list[float], versions: list[int], wanted: tuple[str, ...], id: str, degraded: bool, raw: bool
) -> None:
    n_rows, cut = len(values), len(values) // len(versions)
    inputs = np.zeros((n_rows, 1), np.float32)
    shares = [
        Share(rows, version, "live", None, WORDS, None, inputs[rows])  # type: ignore[arg-type]  # no model is asked
        for rows, version in zip((slice(0, cut), slice(cut, n_rows)), [*versions, versions[0]], strict=False)
    ]
    answer = Predictions(
        "eta", "model", ids=IdMaker().make(1, n_rows), values=np.array(values), shares=shares, degraded=degraded
    )
    more: dict[str, Any] = {"id": id, "version": versions[0], "raw": raw}
    written = encode_response(answer, wanted, **more)
    assert ModelInferResponse.FromString(written) == by_protobuf(answer, wanted, **more)
