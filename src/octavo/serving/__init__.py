"""The hot path: requests in, predictions out, every one recorded. Depends on nothing that can be absent."""
