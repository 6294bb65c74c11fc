"""What `python3 -m bears test` runs: pytest."""

import sys

from bears.cli import begin

if __name__ == "__main__":
    begin()

import pytest

if __name__ == "__main__":
    try:
        sys.exit(pytest.main())
    except KeyboardInterrupt:  # while pytest begins or ends; in between it says so itself
        sys.exit(130)
