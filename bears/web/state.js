// Describe the state of the watch in a sentence, such as "Watching, all quiet for 42 min".

const STALE = 45 // seconds; without an answer about a new picture for so long, the page is not watching

export const timeOf = date => date.toLocaleTimeString([], {timeStyle: "short"})

const span = minutes => (minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`)

// All times are in milliseconds, as from Date.now().
export class WatchState {
    answered = 0 // when the model last answered about a new picture
    quiet = null // since when all has been quiet (no gap, no visit, not too dark), or null
    alarmed = null // when the alarm of the current visit was raised
    snoozed = 0 // when the snooze ends, or 0
    pausing = "" // the time of day until which nothing is watched, such as "21:00"
    lost = false // whether the camera or the model has failed since the last answer

    answer(now, dark) {
        Object.assign(this, {answered: now, dark, lost: false})
        if (dark) this.quiet = null
        else this.quiet ??= now
    }

    // End the visit. The quiet minutes start with the next answer.
    endVisit() {
        this.alarmed = null
        this.quiet = null
    }

    // Remember that there is no picture from the camera, or no answer from the model.
    lose() {
        this.lost = true
        this.quiet = null
    }

    isWatching(now) {
        return !this.pausing && !this.lost && now - this.answered < 1000 * STALE
    }

    inWords(now) {
        if (this.pausing) return `Not watching until ${timeOf(new Date(`2000-01-01T${this.pausing}`))}`
        if (!this.answered && !this.lost) return "Starting…"
        if (!this.isWatching(now)) {
            this.quiet = null
            return "Not watching at the moment"
        }
        if (this.snoozed) return `Watching, alarm snoozed until ${timeOf(new Date(this.snoozed))}`
        if (this.alarmed) return `Watching, alarm at ${timeOf(new Date(this.alarmed))}`
        if (this.dark) return "Watching, but it's too dark"
        const minutes = this.quiet === null ? 0 : Math.floor((now - this.quiet) / 60_000)
        return minutes ? `Watching, all quiet for ${span(minutes)}` : "Watching, all quiet"
    }
}
