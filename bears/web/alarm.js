// The first rule of docs/alarm.md: when to raise an alarm.

import {GROUP, NONE, SURE, UNSURE} from "./answer.js"

export const RULE = {threshold: 0.5, stay: 0.5, least: 3, latest: 5, memory: 120, coolDown: 60, slow: 1, few: 2}
const WEIGHTS = {[SURE]: 1, [GROUP]: 0.5, [UNSURE]: 0.5, [NONE]: 0}

// Return how sure the model is, from 0 to 1, that a picture shows one of the classes in `alarm`. `group` has the classes
// of the answer "group". If all of them raise an alarm, it doesn't matter which one it is.
export const score = (probs, certainty, alarm, group = []) => {
    const weight = group.length && group.every(label => alarm.includes(label)) ? 1 : WEIGHTS[certainty]
    return weight * alarm.reduce((sum, label) => sum + probs[label], 0)
}

const median = numbers => {
    const sorted = [...numbers].sort((a, b) => a - b),
        half = sorted.length >> 1
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

export class Alarm {
    constructor(rule = {}) {
        this.rule = {...RULE, ...rule}
        this.now = -Infinity
        this.tracks = new Map() // by number: [time, score] pairs, oldest first
        this.visit = null // when a suspicious track was last seen in the current visit, if there is one
    }

    // Return the score that keeps a visit going.
    get enough() {
        return this.rule.stay * this.rule.threshold
    }

    // Return the latest passes over a track, which are those that count.
    keep(looks) {
        return looks.slice(-this.rule.latest)
    }

    // Return the events that follow from new scores, [track, score] pairs, at a time in seconds. `took` is the seconds of a pass.
    step(seconds, scores = [], took = 0) {
        const {threshold, memory, coolDown} = this.rule,
            events = []
        if (seconds < this.now) {
            this.tracks.clear()
            if (this.visit !== null) this.visit = seconds
        }
        this.now = seconds
        const medians = scores.map(([track, score]) => [track, this.median(track, score, took)])
        for (const [track, history] of this.tracks) if (seconds - history.at(-1)[0] > memory) this.tracks.delete(track)
        if (this.visit !== null && seconds - this.visit > coolDown) {
            this.visit = null
            events.push({event: "end", seconds})
        }
        for (const [track, median] of medians)
            if (this.visit === null && median >= threshold) {
                events.push({event: "alarm", seconds, track, median})
                this.visit = seconds
            } else if (this.visit !== null && median >= this.enough) this.visit = seconds
        return events
    }

    // Add a score to a track. Return the median of its latest scores, or 0 if there are too few. If the model is slow,
    // `few` scores are enough, and the lowest of them is returned.
    median(track, score, took) {
        const {least, memory, slow, few} = this.rule
        const history = this.keep([...(this.tracks.get(track) ?? []), [this.now, score]])
        const kept = history.filter(([seconds]) => this.now - seconds <= memory)
        this.tracks.set(track, kept)
        const scores = kept.map(([, score]) => score)
        if (scores.length >= least) return median(scores)
        return took >= slow && scores.length >= few ? Math.min(...scores) : 0
    }
}
