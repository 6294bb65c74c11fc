"""Whether to wake somebody: a rule over the scores of tracks. docs/alarm.md specifies it, for other implementations.

A single picture wakes nobody: the median of a track's latest scores does, so that one odd picture counts for nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WEIGHTS = {"sure": 1, "group": 0.5, "unsure": 0.5, "none": 0}  # of the four answers of a model


@dataclass(frozen=True)
class Rule:
    """All constants of the rule; times are in seconds."""

    threshold: float = 0.5  # a median that high raises the alarm
    stay: float = 0.5  # times the threshold: a median that high keeps a visit going
    least: int = 3  # scores that a track has before its median counts,
    latest: int = 5  # and of which the median is, at most
    memory: float = 120  # after which a score is forgotten
    cool_down: float = 60  # after which a visit is over, if nothing has kept it going
    slow: float = 1  # a look that takes so long is a slow one: a bear may have gone before there are `least`,
    few: int = 2  # so that many scores are enough then, if all of them are high

    @property
    def enough(self) -> float:
        """Return the score from which on a track is suspicious, and keeps a visit going."""
        return self.stay * self.threshold


PHOTO = Rule(threshold=0.9, least=1, latest=1)  # each photo of a folder decides alone, if the model is sure


def score(probs: dict[str, float], certainty: str, alarm: Sequence[str], group: Sequence[str] = ()) -> float:
    """How surely a picture shows one of the classes in `alarm`, from 0 to 1; the rest is what `Classifier.ask` says.

    `group` has the classes of the answer "group": where all of them alarm, it does not matter which one it is.
    """
    weight = 1 if group and set(group) <= set(alarm) else WEIGHTS[certainty]
    return weight * sum(probs[label] for label in alarm)


class Alarm:
    """The rule, with what it remembers of one camera: the scores of its tracks, and the visit that is going on."""

    def __init__(self, rule: Rule):
        self.rule, self.tracks, self.now = rule, {}, float("-inf")
        self.visit = None  # when the visit was last seen, if there is one
        self.took = 0  # seconds that a look takes at the moment
        self.medians = {}  # of the tracks of the latest step

    def step(self, seconds: float, scores: Sequence[tuple] = (), took: float = 0) -> list[dict]:
        """The events, of none to two, that follow from (track, score) pairs at a time; there may be none of them.

        `took` is the number of seconds in which the model answered about each of them.
        An event is a dict: `event` is "end" or "alarm", `seconds` as given; an alarm has the `track` and the `median`.
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
        """Return the median of a track's latest scores; of a few slow ones the lowest; 0 while they are too few."""
        history = self.tracks.setdefault(track, deque(maxlen=self.rule.latest))
        history.append((self.now, score))
        while self.now - history[0][0] > self.rule.memory:
            history.popleft()
        scores = [score for _, score in history]
        if len(scores) >= self.rule.least:
            return median(scores)
        return min(scores) if self.took >= self.rule.slow and len(scores) >= self.rule.few else 0

    def forget(self):
        """Drop tracks whose latest score is forgotten, so that they do not gather over weeks."""
        self.tracks = {t: h for t, h in self.tracks.items() if self.now - h[-1][0] <= self.rule.memory}
