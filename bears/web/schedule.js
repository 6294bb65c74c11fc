// The second rule of docs/alarm.md: which tracks the model looks at next.

import {largest} from "./answer.js"

const LOOK = 0.35 // seconds between two looks at a track, at least,
export const SELDOM = 4 // and where there was nothing
const PATIENCE = 4 // looks that may find nothing before a track is looked at more seldom
const WHOLE = 10 // seconds between two looks at the whole picture
const MOST = 4 // looks in LOOK seconds, at all tracks together
export const WHOLE_TRACK = 0 // the number of its track

export class Schedule {
    asked = [] // when the model was, lately
    checked = false // whether the latest look went to the most suspicious track

    // The tracks to look at now, in order. A track with a score of `enough` is suspicious; a look `took` so many seconds
    // lately.
    next(tracks, seconds, enough, took = 0) {
        const free = MOST - this.asked.filter(asked => Math.abs(seconds - asked) < LOOK).length
        const room = Math.min(free, took ? Math.max(1, Math.floor(LOOK / took)) : MOST)
        const due = tracks.filter(track => isDue(track, seconds, enough)),
            chosen = []
        while (due.length && chosen.length < room) chosen.push(...due.splice(this.first(due, seconds, enough), 1))
        this.asked = [...this.asked, ...chosen.map(() => seconds)].slice(-MOST)
        return chosen
    }

    // The place in `due` of the track that comes first.
    first(due, seconds, enough) {
        const suspicious = due.some(track => track.score >= enough)
        this.checked = suspicious && !this.checked
        return largest(due.map(({score, looked, side}) => (this.checked ? score : Math.abs(seconds - looked) * side)))
    }
}

// Return whether it is time for a look: soon after one that was likely, ever more seldom after nothing.
const isDue = ({number, looked, score, nothing, changed, old}, seconds, enough) => {
    const passed = Math.abs(seconds - looked)
    if (number == WHOLE_TRACK && (old || !(changed || score >= enough))) return passed >= WHOLE
    return passed >= Math.min(SELDOM, LOOK * 2 ** Math.max(0, nothing - PATIENCE))
}
