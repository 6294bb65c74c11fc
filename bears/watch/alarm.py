"""Decide when to raise an alarm, from the scores of tracks. docs/alarm.md specifies the rule.

The rule uses the median of a track's latest scores, so that a single wrong score can't raise an alarm.
bears/web/alarm.js has the same rule for the Camera tab.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WEIGHTS = {"sure": 1, "group": 0.5, "unsure": 0.5, "none": 0}  # weights in a score, by kind of answer


@dataclass(frozen=True)
class Rule:
    """Hold the constants of the alarm's rule. Times are in seconds."""

    threshold: float = 0.5  # a median of at least this raises the alarm
    stay: float = 0.5  # a visit continues while a median is at least this share of the threshold
    least: int = 3  # a median needs at least this many scores of a track
    latest: int = 5  # a median uses at most this many scores of a track, the latest ones
    memory: float = 120  # scores older than this don't count
    cool_down: float = 60  # a visit ends after this time without a suspicious track
    slow: float = 1  # if a pass takes this long, the model is slow, and a bear may leave before it has `least` scores
    few: int = 2  # with a slow model, this many scores are enough if all of them are high

    @property
    def enough(self) -> float:
        """Return the least score that makes a track suspicious.

        A visit continues while a track's median is at least this score.
        """
        return self.stay * self.threshold


PHOTO = Rule(threshold=0.9, least=1, latest=1)  # for a folder: one photo is enough if the model is very sure


def score(probs: dict[str, float], certainty: str, alarm: Sequence[str], group: Sequence[str] = ()) -> float:
    """Return how sure the model is, from 0 to 1, that a picture shows one of the classes in `alarm`.

    `probs` and `certainty` are from `Classifier.ask`. If the answer is a group, such as "black or grizzly", `group` has
    its classes. If all classes of the group are in `alarm`, the answer counts like a sure answer.
    """
    weight = 1 if group and set(group) <= set(alarm) else WEIGHTS[certainty]
    return weight * sum(probs[label] for label in alarm)


class Alarm:
    """Apply the rule of the alarm to one camera."""

    def __init__(self, rule: Rule):
        self.rule, self.tracks, self.now = rule, {}, float("-inf")
        self.visit = None  # the last time of a suspicious track in the current visit, or None between visits
        self.took = 0  # seconds that a pass takes at the moment
        self.medians = {}  # the median of each track that was classified in the latest step

    def step(self, seconds: float, scores: Sequence[tuple] = (), took: float = 0) -> list[dict]:
        """Add scores, as pairs (track, score), at the time `seconds`. Return the new events.

        `took` is how many seconds the model needed for each score. An event is a dict with the keys `event` ("alarm",
        or "end" for the end of a visit) and `seconds`. The dict of an alarm also has the keys `track` and `median`.
        """
        if seconds < self.now:
            self.tracks.clear()
            if self.visit is not None:
                self.visit = seconds
        self.now, self.took, events = seconds, took, []
        self.medians = {track: self.median_of(track, score) for track, score in scores}
        self.forget()
        if self.visit is not None and seconds - self.visit > self.rule.cool_down:
            self.visit = None
            events.append({"event": "end", "seconds": seconds})
        for track, value in self.medians.items():
            if self.visit is None and value >= self.rule.threshold:
                events.append({"event": "alarm", "seconds": seconds, "track": track, "median": value})
                self.visit = seconds
            elif self.visit is not None and value >= self.rule.enough:
                self.visit = seconds
        return events

    def median_of(self, track, score):
        """Add a score to a track. Return the median of the track's latest scores, or 0 if there are too few.

        With a slow model, `few` scores are enough, and the lowest of them is returned.
        """
        history = self.tracks.setdefault(track, deque(maxlen=self.rule.latest))
        history.append((self.now, score))
        while self.now - history[0][0] > self.rule.memory:
            history.popleft()
        scores = [score for _, score in history]
        if len(scores) >= self.rule.least:
            return median(scores)
        return min(scores) if self.took >= self.rule.slow and len(scores) >= self.rule.few else 0

    def forget(self):
        """Drop tracks whose latest score is too old, so that memory doesn't grow over weeks."""
        self.tracks = {t: h for t, h in self.tracks.items() if self.now - h[-1][0] <= self.rule.memory}
