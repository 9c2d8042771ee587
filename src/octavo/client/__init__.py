"""The Python client of a running Octavo.

from octavo.client import Client

with Client.here() as octavo:
    octavo.predict("eta", [{"origin": "JFK", ...}])
"""

from octavo.client.client import Client

__all__ = ["Client"]
