"""Choose which tracks the model looks at next. docs/alarm.md specifies it, for other implementations."""

from collections import deque

LOOK = 0.35  # seconds between two looks at a track, at least: sooner the picture is nearly the same
SELDOM = 4  # seconds between two looks at a track that shows nothing; at grass, for one
PATIENCE = 4  # looks that may find nothing before a track is looked at more seldom
WHOLE = 10  # seconds between two looks at the whole frame
MOST = 4  # looks in `LOOK` seconds, at all tracks together
WHOLE_FRAME = 0  # the number of its track


class Schedule:
    """Looks go in turn to the most suspicious track and to the one that has waited for longest, for its size."""

    def __init__(self):
        self.asked = deque(maxlen=MOST)  # when the model was
        self.checked = False  # whether the latest look went to the most suspicious track

    def next(self, tracks, seconds, enough, took=0):
        """The tracks to look at now, in order. `took`: seconds that a look has taken lately; 0 where time stands still.

        A track with a score of `enough` is suspicious. The fields of a track are those of `bears.watch.motion.Track`.
        """
        free = MOST - sum(abs(seconds - asked) < LOOK for asked in self.asked)
        room = min(free, max(1, int(LOOK / took))) if took else free
        due, chosen = [track for track in tracks if is_due(track, seconds, enough)], []
        while due and len(chosen) < room:
            chosen.append(due.pop(self.first(due, seconds, enough)))
        self.asked.extend([seconds] * len(chosen))
        return chosen

    def first(self, due, seconds, enough):
        """Return the place in `due` of the track that comes first."""
        suspicious = any(track.score >= enough for track in due)
        self.checked = suspicious and not self.checked
        urgency = [t.score if self.checked else abs(seconds - t.looked) * t.side for t in due]
        return urgency.index(max(urgency))


def is_due(track, seconds, enough):
    """Return whether it is time for a look: soon after one that was likely, ever more seldom after nothing."""
    passed = abs(seconds - track.looked)
    if track.number == WHOLE_FRAME and (track.old or not (track.changed or track.score >= enough)):
        return passed >= WHOLE
    return passed >= min(SELDOM, LOOK * 2 ** max(0, track.nothing - PATIENCE))
