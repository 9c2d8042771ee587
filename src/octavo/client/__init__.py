"""The Python client of a running Octavo.

from octavo.client import Client

with Client.here() as octavo:
    octavo.predict("eta", [{"origin": "JFK", ...}])
"""

from octavo.client.client import Client
from octavo.client.connections import ConnectionLost

__all__ = ["Client", "ConnectionLost"]
