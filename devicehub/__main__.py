"""`python -m devicehub`: the zero-setup run."""

import sys

from devicehub.embedded.launch import main

if __name__ == "__main__":
    sys.exit(main())
