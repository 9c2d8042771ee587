"""``python -m octavo.api`` runs the control process."""

from octavo.api.process import main

main()
