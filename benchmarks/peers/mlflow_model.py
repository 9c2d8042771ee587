"""Saves the estimator as MLflow keeps models of its library; run once per model.

Without a signature: by one MLflow checks and casts column by column at every request, which makes its answers take 2.6
times as long, so leaving it out is its best chance.
"""

import sys

import mlflow
from fitted import estimator

kind, target = sys.argv[1:]
model = estimator()
if kind == "linear":
    mlflow.sklearn.save_model(model, target, pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle")
elif kind.startswith("catboost"):
    mlflow.catboost.save_model(model, target)
elif kind == "lightgbm":
    mlflow.lightgbm.save_model(model, target)
else:
    mlflow.xgboost.save_model(model, target)
