"""A model as a service of BentoML."""

from typing import Annotated

import bentoml
import numpy as np
import pandas as pd
from bentoml.validators import DataframeSchema
from fitted import estimator, fields

FIELDS = list(fields())


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Lender:
    def __init__(self) -> None:
        self.model = estimator()

    @bentoml.api
    def predict(self, rows: Annotated[pd.DataFrame, DataframeSchema(orient="records", columns=FIELDS)]) -> np.ndarray:
        return self.model.predict_proba(rows)[:, 1]
