"""The process that runs functions: ``python -m octavo.serving.apart DESCRIPTOR...``; a predictor starts it."""

import sys

from octavo.serving.apart.child import main

if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
