// The second rule of docs/alarm.md: which tracks the model classifies next.

import {largest} from "./answer.js"

const LOOK = 0.35 // the least seconds between two passes over a track
export const SELDOM = 4 // the most seconds between two passes over a track
const PATIENCE = 4 // after this many passes that found nothing, a track gets fewer passes
const WHOLE = 10 // seconds between two passes over the whole picture
const MOST = 4 // passes in LOOK seconds, over all tracks together
export const WHOLE_TRACK = 0 // the number of the whole picture's track

export class Schedule {
    asked = [] // the times of the latest passes
    checked = false // whether the latest pass went to the most suspicious track

    // Return the tracks to classify now, in order. A track with a score of at least `enough` is suspicious. `took` is
    // how many seconds a pass takes at the moment.
    next(tracks, seconds, enough, took = 0) {
        const free = MOST - this.asked.filter(asked => Math.abs(seconds - asked) < LOOK).length
        const room = Math.min(free, took ? Math.max(1, Math.floor(LOOK / took)) : MOST)
        const due = tracks.filter(track => isDue(track, seconds, enough)),
            chosen = []
        while (due.length && chosen.length < room) chosen.push(...due.splice(this.first(due, seconds, enough), 1))
        this.asked = [...this.asked, ...chosen.map(() => seconds)].slice(-MOST)
        return chosen
    }

    // Return the position in `due` of the track that comes first.
    first(due, seconds, enough) {
        const suspicious = due.some(track => track.score >= enough)
        this.checked = suspicious && !this.checked
        return largest(due.map(({score, looked, side}) => (this.checked ? score : Math.abs(seconds - looked) * side)))
    }
}

// Return whether it is time for a track's next pass. The more passes found nothing, the longer the track waits.
const isDue = ({number, looked, score, nothing, changed, old}, seconds, enough) => {
    const passed = Math.abs(seconds - looked)
    if (number == WHOLE_TRACK && (old || !(changed || score >= enough))) return passed >= WHOLE
    return passed >= Math.min(SELDOM, LOOK * 2 ** Math.max(0, nothing - PATIENCE))
}
