"""The process that runs functions: ``python -m octavo.serving.apart DESCRIPTOR LIFELINE``; a predictor starts it."""

import sys

from octavo.serving.apart.child import main

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
