"""Compare two copies of the app behind one proxy with one copy, and count the photos that a killed copy loses.

    python benchmarks/replicas.py    # two minutes; needs nginx

nginx always sends a client's address to the same copy, as in docs/deploy.md. Both copies share the cores of one
machine. So the benchmark shows how much a second copy costs, and not how much it gains on a second machine.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from serve import ROOT, phone_photo

sys.path.append(str(ROOT / "tests"))

from helpers import FILE_DATA, Nginx, Server

VISITORS, ROUNDS, PHOTOS = 8, 3, 6  # photos of each visitor in a round
TRIES = 5  # until a visitor gives up


class Visitor(HTTPAdapter):
    """Send photos from a separate address, as a real visitor does."""

    def __init__(self, url, number):
        self.address, self.url = f"127.0.1.{number + 1}", f"{url}/gradio_api"
        super().__init__()
        self.session = requests.Session()
        self.session.mount("http://", self)

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs, source_address=(self.address, 0))

    def ask(self, photo):
        """Upload a photo of a grizzly and read the answer. Return whether the answer is right."""
        sent = self.session.post(f"{self.url}/upload", files={"files": ("photo.jpg", photo)}, timeout=60)
        if not sent.ok:
            return False
        data = {"data": [{"path": sent.json()[0], **FILE_DATA}]}
        asked = self.session.post(f"{self.url}/call/predict", json=data, timeout=60)
        if not asked.ok:
            return False
        answer = self.session.get(f"{self.url}/call/predict/{asked.json()['event_id']}", timeout=60)
        return "Grizzly bear" in answer.text

    def insist(self, photo):
        """Send a photo until the answer is right. Return the number of tries, or None after `TRIES` tries."""
        for number in range(TRIES):
            try:
                if self.ask(photo):
                    return number + 1
            except requests.RequestException:  # the app was killed
                pass
            time.sleep(1)


class Replicas:
    """Run several apps behind one nginx, and their visitors."""

    def __init__(self, folder, count):
        folder.mkdir()
        self.apps = [Server(folder / f"{i}.log", "--root-path", "/") for i in range(count)]
        for app in self.apps:
            app.wait_for("The model is ready", 120)
        servers = " ".join(f"server {app.url.removeprefix('http://')};" for app in self.apps)
        more = f"upstream apps {{ hash $remote_addr consistent; {servers} }}"
        headers = "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;"
        self.proxy = Nginx(folder, "http://apps", headers=headers, more=more)
        self.visitors = [Visitor(self.proxy.url, i) for i in range(VISITORS)]

    def load(self, photo):
        """Let all visitors send all of their photos. Return the number of tries for each photo."""
        with ThreadPoolExecutor(VISITORS) as pool:
            return [
                t
                for tries in pool.map(lambda v: [v.insist(photo) for _ in range(PHOTOS)], self.visitors)
                for t in tries
            ]

    def rate(self, photo):
        """Return how many photos per second are answered while all visitors send theirs."""
        start = time.monotonic()
        return len(self.load(photo)) / (time.monotonic() - start)

    def close(self):
        self.proxy.close()
        for app in self.apps:
            app.close()


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    photo, rates = phone_photo(1152, 864), {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        crowds = {count: Replicas(Path(folder) / str(count), count) for count in rates}
        try:
            for crowd in crowds.values():
                crowd.load(photo)  # warm up
            for _ in range(ROUNDS):
                for count, crowd in crowds.items():
                    rates[count].append(crowd.rate(photo))
            threading.Timer(0.5, crowds[2].apps[0].process.kill).start()
            tries = crowds[2].load(photo)
        finally:
            for crowd in crowds.values():
                crowd.close()
    one, two = (statistics.median(rates[count]) for count in (1, 2))
    print(f"Two copies on the cores of one answer {two / one:.2f} times as many photos per second.")
    answered, again = [t for t in tries if t], sum(t > 1 for t in tries if t)
    print(f"When one copy was killed, {len(answered)} of {len(tries)} photos were answered,", end=" ")
    print(f"{again} of them only after the client had sent the photo again.")


if __name__ == "__main__":
    main()
