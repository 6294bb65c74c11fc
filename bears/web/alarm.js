// The first rule of docs/alarm.md: when to raise an alarm.

import {GROUP, NONE, SURE, UNSURE} from "./answer.js"

export const RULE = {threshold: 0.5, stay: 0.5, least: 3, latest: 5, memory: 120, coolDown: 60, slow: 1, few: 2}
const WEIGHTS = {[SURE]: 1, [GROUP]: 0.5, [UNSURE]: 0.5, [NONE]: 0}

// Return how sure the model is, from 0 to 1, that a picture shows one of the classes in `alarm`. If the answer is a group,
// `group` has its classes. If all of these are in `alarm`, the answer counts like a sure one.
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
        this.visit = null // the last time of a suspicious track in the current visit, or null between visits
    }

    // Return the least score that makes a track suspicious. A median of at least this continues a visit.
    get enough() {
        return this.rule.stay * this.rule.threshold
    }

    // Return the latest passes over a track. Only these count.
    keep(looks) {
        return looks.slice(-this.rule.latest)
    }

    // Add scores, [track, score] pairs, at the time `seconds`. Return the events that follow. `took` is how many seconds
    // the model needed for each score.
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

    // Add a score to a track. Return the median of the track's latest scores, or 0 if there are too few. If the model is
    // slow and there are too few scores for a median, return the lowest of at least `few` scores.
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
