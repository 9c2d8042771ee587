"""Logging in to the console by OpenID Connect: the code flow with PKCE, against the one provider of the settings."""
