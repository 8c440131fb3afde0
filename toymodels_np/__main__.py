"""python -m toymodels_np, and the script toymodels-np."""

import sys

from .cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
