"""Predictions over gRPC: the Open Inference Protocol v2 and the standard health service."""
