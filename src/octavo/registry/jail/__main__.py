"""The process of one pickle: ``python -m octavo.registry.jail DESCRIPTOR...``; see `octavo.registry.jail`."""

import sys

from octavo.registry.jail.child import main

if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
