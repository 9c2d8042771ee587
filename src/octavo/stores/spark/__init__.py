"""SELECTs over files and frames, on Spark."""

from octavo.stores.spark.engine import SparkEngine as SparkEngine
