"""Steps of trainings: run in processes of their own, kept by the digests of their inputs and code."""
