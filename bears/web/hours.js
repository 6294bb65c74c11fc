// The hours in which the camera is watched. `is_within` in bears/watch/notify.py is the same rule; docs/alarm_vectors.json
// has cases for both.

import {keep, kept} from "./tab.js"

const NAME = "hours to watch"

// Return whether a time of day is between two others. Midnight may be between them. All are texts such as "07:30".
export const isWithin = (now, begin, end) => (begin <= end ? begin <= now && now < end : !(end <= now && now < begin))

export const clockOf = date => date.toTimeString().slice(0, 5)

export class Hours {
    // `element` has a checkbox, and two fields for times. This browser keeps what somebody sets.
    constructor(element) {
        const [only, begin, end] = element.querySelectorAll("input")
        Object.assign(this, {only, begin, end})
        const {checked, from, to} = kept(NAME) ?? {checked: false, from: begin.value, to: end.value}
        Object.assign(only, {checked})
        Object.assign(begin, {value: from})
        Object.assign(end, {value: to})
        element.addEventListener("change", () => keep(NAME, {checked: only.checked, from: begin.value, to: end.value}))
    }

    // Return the time until which nothing is watched, or "" if it is time to watch.
    pauseUntil(date) {
        const [begin, end] = [this.begin.value, this.end.value]
        const limited = this.only.checked && begin && end && begin != end
        return limited && !isWithin(clockOf(date), begin, end) ? begin : ""
    }
}
