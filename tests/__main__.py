"""What `python3 -m bears test` runs: pytest."""

import sys

from bears.lifecycle import begin

if __name__ == "__main__":
    begin()

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main())
