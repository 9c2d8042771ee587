"""Asynchronous predictions: accepted on disk, answered when there is time, and kept until somebody fetches them."""
