"""``python -m octavo.serving`` runs the predictor."""

import sys

from octavo.serving.process import main

sys.exit(main())
