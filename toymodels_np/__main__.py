"""python -m toymodels_np"""

import sys

from .cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
