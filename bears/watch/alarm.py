"""Decide from the scores of tracks when to raise an alarm. docs/alarm.md specifies the rule.

The median of a track's latest scores decides, so that a single wrong score can't raise an alarm.
bears/web/alarm.js has the same rule for the Camera tab.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WEIGHTS = {"sure": 1, "group": 0.5, "unsure": 0.5, "none": 0}  # for the four kinds of answer of a model


@dataclass(frozen=True)
class Rule:
    """Hold the constants of the rule. Times are in seconds."""

    threshold: float = 0.5  # a median from this value raises the alarm
    stay: float = 0.5  # a median from this share of the threshold keeps a visit going
    least: int = 3  # a track's median counts from this number of scores
    latest: int = 5  # the median is of at most this many scores
    memory: float = 120  # scores older than this don't count
    cool_down: float = 60  # a visit ends after this time without a suspicious track
    slow: float = 1  # the model is slow if a pass takes this long; a bear may leave before there are `least` scores
    few: int = 2  # this many scores are enough then, if all of them are high

    @property
    def enough(self) -> float:
        """Return the lowest score at which a track is suspicious and keeps a visit going."""
        return self.stay * self.threshold


PHOTO = Rule(threshold=0.9, least=1, latest=1)  # for a folder: one photo is enough if the model is very sure


def score(probs: dict[str, float], certainty: str, alarm: Sequence[str], group: Sequence[str] = ()) -> float:
    """Return how sure the model is, from 0 to 1, that a picture shows one of the classes in `alarm`.

    `probs` and `certainty` are from `Classifier.ask`. `group` has the classes of the answer "group". If all of them
    raise an alarm, it doesn't matter which one it is, and the answer counts as a sure one.
    """
    weight = 1 if group and set(group) <= set(alarm) else WEIGHTS[certainty]
    return weight * sum(probs[label] for label in alarm)


class Alarm:
    """Apply the rule to one camera. It remembers the scores of the tracks and the current visit."""

    def __init__(self, rule: Rule):
        self.rule, self.tracks, self.now = rule, {}, float("-inf")
        self.visit = None  # when a suspicious track was last seen in the current visit, if there is one
        self.took = 0  # seconds that a pass takes at the moment
        self.medians = {}  # by track, in the latest step

    def step(self, seconds: float, scores: Sequence[tuple] = (), took: float = 0) -> list[dict]:
        """Return up to two events for new scores, given as pairs (track, score), at the time `seconds`.

        `took` is how many seconds the model needed for each. An event is a dict with `event`, which is "end" or
        "alarm", and `seconds`. An alarm also has the `track` and its `median`.
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
        """Add a score to a track; return the median of its latest scores, or 0 if there are too few.

        If the model is slow, `few` scores are enough, and the lowest of them is returned.
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
