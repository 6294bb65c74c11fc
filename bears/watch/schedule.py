"""Choose which tracks the model classifies next. docs/alarm.md specifies the rules."""

from collections import deque

LOOK = 0.35  # the least seconds between two passes over a track; before that, the picture has hardly changed
SELDOM = 4  # the most seconds between two passes over a track, even if it shows nothing, such as grass
PATIENCE = 4  # after this many passes in a row that found nothing (score 0), a track gets fewer passes
WHOLE = 10  # seconds between two passes over the whole frame, unless it has changed or is suspicious
MOST = 4  # passes in `LOOK` seconds, over all tracks together
WHOLE_FRAME = 0  # the number of the whole frame's track


class Schedule:
    """Choose the most suspicious and the most urgent track by turns, or only urgent ones if none is suspicious.

    A track's urgency is the time since its latest pass, multiplied by the longer side of its box.
    """

    def __init__(self):
        self.asked = deque(maxlen=MOST)  # the times of the latest passes
        self.checked = False  # whether the latest pass went to the most suspicious track

    def next(self, tracks, seconds, enough, took=0):
        """Return the tracks to classify now, in order. `tracks` are like `bears.watch.motion.Track`.

        A track with a score of at least `enough` is suspicious. `took` is how many seconds a pass takes at the moment,
        or 0 for a film, whose frames wait for a slow model.
        """
        free = MOST - sum(abs(seconds - asked) < LOOK for asked in self.asked)
        room = min(free, max(1, int(LOOK / took))) if took else free
        due, chosen = [track for track in tracks if is_due(track, seconds, enough)], []
        while due and len(chosen) < room:
            chosen.append(due.pop(self.first(due, seconds, enough)))
        self.asked.extend([seconds] * len(chosen))
        return chosen

    def first(self, due, seconds, enough):
        """Return the position in `due` of the track to classify next."""
        suspicious = any(track.score >= enough for track in due)
        self.checked = suspicious and not self.checked
        urgency = [t.score if self.checked else abs(seconds - t.looked) * t.side for t in due]
        return urgency.index(max(urgency))


def is_due(track, seconds, enough):
    """Return whether it is time for a track's next pass.

    A pass finds nothing if the model sees none of its classes, for example in a picture of a deer. After `PATIENCE`
    such passes in a row, each further one doubles the track's wait, up to `SELDOM` seconds.
    """
    passed = abs(seconds - track.looked)
    if track.number == WHOLE_FRAME and (track.old or not (track.changed or track.score >= enough)):
        return passed >= WHOLE
    return passed >= min(SELDOM, LOOK * 2 ** max(0, track.nothing - PATIENCE))
