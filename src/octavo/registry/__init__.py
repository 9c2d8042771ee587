"""What was trained, kept as bundles that can be verified: formats, compilation, signing, gates, versions."""
