"""Make small changes to a module, one at a time, and count how many changes the module's quick tests notice.

    pip install mutmut==3.8.1
    python tests/mutants.py                            # every module below
    python tests/mutants.py bears/watch/alarm.py -v    # one of them, with each change that no test notices

mutmut makes the changes. `mutmut run` would collect the tests and open the model again for each change, which takes
seconds. Here pytest does this once for a file of tests, and a copy of pytest's process (a fork) tries each change.
"""

import argparse
import gc
import os
import random
import signal
import subprocess
import sys
import threading
from difflib import ndiff
from importlib import import_module
from pathlib import Path
from time import process_time

import pytest

ROOT = Path(__file__).parent.parent
TESTS = {  # for each module, the files with its quick tests
    "bears/app/guard.py": ["requests"],
    "bears/app/uploads.py": ["requests"],
    "bears/clean/decisions.py": ["clean"],
    "bears/learning/calibration.py": ["trust", "sources"],
    "bears/model/ood.py": ["trust", "squares"],
    "bears/model/photo.py": ["photo"],
    "bears/model/squares.py": ["squares"],
    "bears/predict/detections.py": ["detections"],
    "bears/predict/journal.py": ["detections"],
    "bears/train/evaluation.py": ["trust"],
    "bears/watch/alarm.py": ["watch"],
    "bears/watch/motion.py": ["motion"],
}
QUICK = 2  # tests that compute for longer (seconds) are left out


class Mutant:
    """Hold one change of a function: its new code, and the changed lines as text."""

    def __init__(self, name, made, changed):
        self.key = name.rpartition("__mutmut_")[0]
        self.path = self.key[2:].split("ǁ")  # the class, if any, and the function
        self.code = find(changed, [*self.path[:-1], name]).__code__
        spans, lines = made.line_span_by_function_name, made.code.splitlines()
        spans = spans[f"{self.key}__mutmut_orig"], spans[name]
        old, new = ([line.strip() for line in lines[span.start - 1 : span.end]] for span in spans)
        self.text = "\n".join(line for line in ndiff(old, new) if line[0] in "+-" and "__mutmut_" not in line)
        self.killed = False

    def swap(self, module):
        """Exchange the function's code and the changed code, also for modules that imported the function by name."""
        function = find(vars(module), self.path)
        function.__code__, self.code = self.code, function.__code__


def find(names, path):
    for name in path:
        names = vars(names)[name] if isinstance(names, type) else names[name]
    return names


def make_mutants(file, most):
    """Return at most `most` of mutmut's changes to a module, drawn at random, but the same ones in each run."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    made = mutate_file_contents(str(file), file.read_text(encoding="utf-8"))
    changed = {"__name__": name_of(file), "__file__": str(file)}
    exec(compile(made.code, file, "exec"), changed)
    names = random.Random(0).sample(made.mutant_names, min(most, len(made.mutant_names)))
    return [Mutant(name, made, changed) for name in sorted(names)]


def name_of(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


class Plugin:
    """Replace pytest's run of the tests: for each file, try the mutants of the functions that its tests reach."""

    def __init__(self, file, most):
        self.file, self.most, self.mutants, self.failed = ROOT / file, most, [], False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        use_one_thread()
        self.module, self.mutants = import_module(name_of(self.file)), make_mutants(self.file, self.most)
        for path in dict.fromkeys(item.path for item in session.items):
            self.items = [item for item in session.items if item.path == path]
            self.run_file()
            session._setupstate.teardown_exact(None)
        return True

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed

    def run_file(self):
        reached, took = {}, {}
        for item in self.items:
            start, (codes, failed) = process_time(), self.trace(item)
            took[item] = process_time() - start
            if codes and not failed and took[item] < QUICK and not self.fails_in_fork([item], 60):
                reached[item] = codes
        print(f"{len(reached)} of {self.items[0].path.name}'s {len(self.items)} tests reach it", file=sys.stderr)
        for mutant in self.mutants:
            code = find(vars(self.module), mutant.path).__code__
            tests = sorted((item for item, codes in reached.items() if code in codes), key=took.get)
            if tests and not mutant.killed:
                mutant.swap(self.module)
                mutant.killed = self.fails_in_fork(tests, 10 + 10 * sum(map(took.get, tests)))
                mutant.swap(self.module)

    def trace(self, item):
        """Run a test. Return the set of the module's code objects that the test calls, and whether the test fails."""
        reached = set()

        def note(frame, event, arg):
            if event == "call" and frame.f_code.co_filename == str(self.file):
                reached.add(frame.f_code)

        threading.setprofile(note)
        sys.setprofile(note)
        failed = self.fails(item)
        sys.setprofile(None)
        threading.setprofile(None)
        return reached, failed

    def fails(self, item):
        """Run a test and return whether it fails. Keep shared fixtures for the next test."""
        self.failed = False
        following = self.items[self.items.index(item) - 1]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following if following is not item else None)
        return self.failed

    def fails_in_fork(self, tests, limit):
        """Return whether a test fails twice in a copy of this process, or ends it, or takes longer than `limit`."""
        gc.freeze()  # so that the copy doesn't close things that it shares with this process
        if not (child := os.fork()):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1), os.dup2(nowhere, 2)
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, limit)
            try:
                os._exit(any(self.fails(item) and self.fails(item) for item in tests))
            finally:
                os._exit(1)
        return os.waitpid(child, 0)[1] != 0


def use_one_thread():
    """Stop torch and OpenCV from starting threads, since a fork lacks them and would wait for them for ever."""
    import cv2
    import torch

    torch.set_num_threads(1)
    torch.set_num_threads = lambda n: None
    cv2.setNumThreads(1)


def run_module(file, most, verbose):
    plugin = Plugin(file, most)
    tests = [f"tests/test_{name}.py" for name in TESTS[file]]
    options = ["-qq", "-m", "not slow", "-p", "no:cacheprovider", "-o", "timeout=120"]
    with open(os.devnull, "w") as nowhere:
        out, sys.stdout = sys.stdout, nowhere
        code = pytest.main([*options, *tests], plugins=[plugin])
        sys.stdout = out
    if code in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR):
        sys.exit(f"The tests can't be collected: run pytest {' '.join(tests)}")
    killed = sum(mutant.killed for mutant in plugin.mutants)
    print(f"| `{file}` | {killed} of {len(plugin.mutants)} | {killed / len(plugin.mutants):.0%} |", flush=True)
    for mutant in plugin.mutants if verbose else ():
        if not mutant.killed:
            print(f"\n{'.'.join(mutant.path)}\n{mutant.text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(TESTS), choices=[*TESTS, list(TESTS)], metavar="module")
    parser.add_argument("-n", type=int, default=100, help="changes of each module, drawn at random (default: 100)")
    parser.add_argument("-v", action="store_true", help="print each change that no test notices")
    args = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if len(args.modules) == 1:
        run_module(args.modules[0], args.n, args.v)
    else:
        for module in args.modules:
            subprocess.run([sys.executable, __file__, module, "-n", str(args.n), *["-v"] * args.v], check=True)
