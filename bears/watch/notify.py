"""Report events: log a line, call a webhook and play a sound. A slow webhook or sound never delays the watch."""

import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import wave
from datetime import datetime
from pathlib import Path

import numpy as np
import requests
from bears.download import GuardedAdapter
from bears.model.wording import full_name
from bears.text import as_typed, printable

TIMEOUT = 5, 10  # seconds to connect to a webhook, and for the headers of its response
TRIES, PAUSE = 3, 2  # tries to send an event; seconds before the second try, twice as many before the third
WAITING = 20  # events that may wait for a slow webhook; if there are more, the oldest is dropped
PATIENCE = 5  # seconds to wait at the end for the last event to be sent
PLAYERS = ["afplay"], ["paplay"], ["pw-play"], ["aplay", "-q"]  # of macOS, PulseAudio, PipeWire, ALSA
MINUTE, HOUR = 60, 3600


def log(sentence):
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {printable(sentence)}", flush=True)


class Progress:
    """Log how many frames per second are processed: first after a minute, then less and less often, at least hourly."""

    def __init__(self):
        self.frames = self.looks = self.alarms = 0
        self.start = self.said = time.monotonic()
        self.pause = MINUTE

    def count(self, step):
        self.frames += step.frame.picture is not None
        self.looks += len(step.looks)
        self.alarms += sum(event["event"] == "alarm" for event in step.events)
        if time.monotonic() - self.said >= self.pause:
            self.said, self.pause = time.monotonic(), min(HOUR, 2 * self.pause)
            self.close()

    def close(self):
        rate = self.frames / max(0.001, time.monotonic() - self.start)
        alarms = f"{self.alarms} alarm{'s' * (self.alarms != 1)}"
        log(f"{self.frames:,} frames, {rate:.1f} a second; {self.looks:,} classified; {alarms}")


class Notifier:
    """Log each event. Outside of the quiet hours, also send the event to the webhook, and play a sound at an alarm."""

    def __init__(self, webhook, sound, quiet_hours, about, subject):
        self.webhook, self.sound = webhook and Webhook(webhook), sound
        self.quiet_hours, self.about, self.subject = quiet_hours, about, subject

    def notify(self, event, folder):
        quiet = self.quiet_hours and is_within(datetime.now(), *self.quiet_hours)
        at = "" if self.about["live"] else f" at {event['seconds'] // 60:.0f}:{event['seconds'] % 60:04.1f}"
        if event["event"] == "alarm":
            name, kept = full_name(event["label"], self.subject), f": {as_typed(folder)}" if folder else ""
            log(f"ALARM{at}, {name}, {event['median']:.2f}{' (quiet hours)' if quiet else ''}{kept}")
        else:
            log(f"Visit ended{at}")
        if quiet:
            return
        if self.webhook:
            about = {key: self.about[key] for key in ("source", "alarm")}
            self.webhook.send({**about, **event, "time": now(), "folder": folder and str(folder)})
        if self.sound and event["event"] == "alarm":
            threading.Thread(target=play_alarm, daemon=True).start()

    def close(self):
        if self.webhook:
            self.webhook.close()


def now():
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def is_within(time, begin, end):
    """Return whether a time is between `begin` and `end`, in minutes since midnight. The range may cross midnight."""
    minute = 60 * time.hour + time.minute
    return begin <= minute < end if begin <= end else not end <= minute < begin


class Webhook:
    """Send events as JSON to a URL, in another thread."""

    def __init__(self, url):
        self.url, self.events, self.closed = url, queue.Queue(WAITING), False
        self.session, adapter = requests.Session(), GuardedAdapter(None, TIMEOUT[1], connections=1)
        self.session.mount("http://", adapter), self.session.mount("https://", adapter)
        threading.Thread(target=self.work, daemon=True).start()

    def send(self, event):
        while True:
            try:
                return self.events.put_nowait(event)
            except queue.Full:
                self.lose(self.events.get_nowait(), f" ({WAITING} later ones wait)")
                self.events.task_done()

    def work(self):
        while not self.closed:
            event = self.events.get()
            for n in range(TRIES):
                time.sleep(PAUSE * n)
                if not (trouble := self.post(event)):
                    break
            else:
                self.closed or self.lose(event, f", {TRIES} times ({trouble})")
            self.events.task_done()

    def post(self, event):
        """Send an event. Return None or the reason of a failure. Don't read the response's body: it may be endless."""
        try:
            with self.session.post(self.url, json=event, timeout=TIMEOUT, stream=True, allow_redirects=False) as answer:
                return None if 200 <= answer.status_code < 300 else f"status {answer.status_code}"
        except Exception as e:  # servers and proxies cause many errors, and none may stop the watch
            return type(e).__name__

    def lose(self, event, why):
        log(f"the webhook did not accept the event{why}: {event.get('event')}, {event.get('time')}")

    def close(self):
        """Wait up to `PATIENCE` seconds for all events to be sent, and log how many are lost."""
        end = time.monotonic() + PATIENCE
        while self.events.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.05)
        self.closed = True
        if lost := self.events.unfinished_tasks:
            log(f"the webhook did not accept the last {lost} event{'s' * (lost != 1)} before the end")


def play_alarm():
    """Ring the terminal's bell, and play two tones three times if the system has a program that plays sound files."""
    print("\a", end="", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "alarm.wav"
        write_tones(file)
        if sys.platform == "win32":
            import winsound

            winsound.PlaySound(str(file), winsound.SND_FILENAME)
        elif player := next((p for p in PLAYERS if shutil.which(p[0])), None):
            subprocess.run([*player, file], capture_output=True, timeout=10)


def write_tones(file, rate=22050):
    time = np.arange(int(0.3 * rate)) / rate
    tones = np.concatenate([np.sin(2 * np.pi * pitch * time) for pitch in (880, 660)] * 3)
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(rate)
        out.writeframes((20_000 * tones).astype("<i2").tobytes())
