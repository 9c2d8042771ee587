"""Attacks on the whole program, each under the name of its class; docs/security.md says which test stands for what."""
