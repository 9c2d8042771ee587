"""A model in the Python server of KServe, by the Open Inference Protocol v2."""

import logging
import sys

import kserve
import numpy as np
import pandas as pd
from fitted import estimator
from kserve import InferOutput, InferRequest, InferResponse


class Lender(kserve.Model):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.model = estimator()
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None, **_: object) -> InferResponse:
        if len(payload.inputs) == 1:
            rows = payload.inputs[0].as_numpy()
        else:
            rows = pd.DataFrame({tensor.name: tensor.data for tensor in payload.inputs})
        values = np.asarray(self.model.predict_proba(rows)[:, 1], np.float64)
        output = InferOutput(name="value", shape=list(values.shape), datatype="FP64", data=values.tolist())
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    for told_per_request in ("uvicorn.access", "kserve.trace"):
        logging.getLogger(told_per_request).setLevel(logging.WARNING)
    kserve.ModelServer(
        http_port=int(sys.argv[1]),
        workers=1,
        enable_grpc=False,
        enable_latency_logging=False,
    ).start([Lender("lender")])
