// The hours in which the camera is watched. `is_within` in bears/watch/notify.py has the same rule.
// docs/alarm_vectors.json has test cases for both.

import {keep, kept} from "./tab.js"

const NAME = "hours to watch"

// Return whether the time of day `now` is between `begin` and `end`. All are texts such as "07:30". The range may cross
// midnight.
export const isWithin = (now, begin, end) => (begin <= end ? begin <= now && now < end : !(end <= now && now < begin))

export const clockOf = date => date.toTimeString().slice(0, 5)

export class Hours {
    // `element` has a checkbox, and two fields for times. The browser stores the settings.
    constructor(element) {
        const [only, begin, end] = element.querySelectorAll("input")
        Object.assign(this, {only, begin, end})
        const {checked, from, to} = kept(NAME) ?? {checked: false, from: begin.value, to: end.value}
        Object.assign(only, {checked})
        Object.assign(begin, {value: from})
        Object.assign(end, {value: to})
        element.addEventListener("change", () => keep(NAME, {checked: only.checked, from: begin.value, to: end.value}))
    }

    // If nothing is watched now, return the time at which watching starts. Otherwise return "".
    pauseUntil(date) {
        const [begin, end] = [this.begin.value, this.end.value]
        const limited = this.only.checked && begin && end && begin != end
        return limited && !isWithin(clockOf(date), begin, end) ? begin : ""
    }
}
