"""``python -m octavo.api`` runs the control process."""

import sys

from octavo.api.process import main

sys.exit(main())
