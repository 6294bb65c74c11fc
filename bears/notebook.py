"""Open the lesson as a notebook in Jupyter, on this machine.

python3 -m bears notebook                # Jupyter gets all options, such as --no-browser --port 8889
"""

import sys

from bears.cli import begin, end_in_order

if __name__ == "__main__":
    begin()

from jupyterlab.labapp import main

if __name__ == "__main__":
    end_in_order()
    sys.exit(main(["--LabApp.default_url=/lab/tree/notebooks/lesson.ipynb", *sys.argv[1:]]))
