"""`python -m productionservice.cli` is `psvc`."""

import sys

from productionservice.cli import main

sys.exit(main())
