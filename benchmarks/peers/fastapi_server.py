"""A model behind FastAPI and pandas, as one writes it by hand."""

import pandas as pd
from fastapi import FastAPI
from fitted import estimator, fields
from pydantic import BaseModel, create_model

Application: type[BaseModel] = create_model(  # type: ignore[call-overload]  # fields come as names
    "Application", **{name: (float if kind == "number" else str, ...) for name, kind in fields().items()}
)
app = FastAPI()
model = estimator()


class Answer(BaseModel):
    value: float


@app.post("/predict")
async def predict(application: Application) -> Answer:  # type: ignore[valid-type]  # made above
    frame = pd.DataFrame([application.model_dump()])  # type: ignore[attr-defined]
    return Answer(value=model.predict_proba(frame)[0, 1])
