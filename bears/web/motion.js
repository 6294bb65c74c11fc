// Find what moves in a camera's pictures by comparing them with a learned background, and follow each moving thing as a
// track. This is simpler than bears/watch/motion.py, so that it is fast enough for a phone.

import {SELDOM} from "./schedule.js"
import {maskOf} from "./zones.js"

const WIDTH = 160 // pixels of the small picture in which movement is searched
const CELL = 4 // pixels of a cell's side; movement is found in cells
const CHANGED = 5 // a cell has changed if at least this many of its pixels have changed
const SMALLEST = 2 // cells of the smallest moving thing
const NOISE = 12 // grey levels by which a still pixel may differ
const ADAPT = 120 // seconds for the background to adapt to a change
const RESTLESS = 20 // seconds in which the flicker of a pixel is learned, such as that of grass in the wind
const WARM_UP = 10 // pictures at the start, from which the background is learned faster
const WHOLE_PICTURE = 0.5 // if more of the picture changes at once, the light has changed or become infrared
const DARK = 30 // grey level; a picture is too dark if nearly all of its pixels are darker
const BRIGHTEST = 0.95 // the share that is "nearly all"; the other pixels may be bright, such as those of a lamp
const STAY = 30 // seconds for which a track is kept after it stopped moving
export const OLD = 600 // seconds until a suspicious thing that never leaves, such as a stump, belongs to the scene
const MAX_TRACKS = 8
const MOVED = 0.5 // a track that moves or grows by this share of its longer side is classified again soon

export class Movement {
    constructor() {
        this.canvas = document.createElement("canvas")
        this.context = this.canvas.getContext("2d", {willReadFrequently: true})
        this.pictures = 0
    }

    dark = false // whether the latest picture is too dark

    // Return the boxes, [left, top, width, height] in pixels, in which something moves in a picture of `width` × `height`
    // pixels. Return null if most of the picture has changed. Ignore the parts in `zones`.
    boxes(picture, width, height, seconds, zones = []) {
        const small = Math.max(CELL, Math.round((WIDTH * height) / width))
        if (this.canvas.height != small || !this.pictures) {
            Object.assign(this.canvas, {width: WIDTH, height: small})
            this.pictures = 0
        }
        this.context.drawImage(picture, 0, 0, WIDTH, small)
        const {data} = this.context.getImageData(0, 0, WIDTH, small),
            grey = new Float32Array(WIDTH * small)
        for (let i = 0; i < grey.length; i++)
            grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]
        this.dark = grey.toSorted()[Math.floor(BRIGHTEST * grey.length)] < DARK
        const mask = this.changed(grey, small, seconds, maskOf(zones, WIDTH, small))
        if (!mask) return null
        return things(mask, Math.floor(WIDTH / CELL)).map(box => box.map(side => (side * CELL * width) / WIDTH))
    }

    // Return how many pixels of each cell differ from the background. Skip pixels that are `ignored`. Return null if most
    // of the other pixels differ.
    changed(grey, height, seconds, ignored) {
        if (!this.pictures++) {
            Object.assign(this, {
                mean: grey.slice(),
                before: grey,
                flicker: new Float32Array(grey.length).fill(NOISE / 2),
                seconds,
            })
            return []
        }
        const passed = Math.min(2, Math.max(0, seconds - this.seconds)),
            {mean, before, flicker} = this
        const warm = this.pictures < WARM_UP ? 1 / this.pictures : 0
        const follow = Math.max(1 - Math.exp(-passed / ADAPT), warm),
            settle = Math.max(1 - Math.exp(-passed / RESTLESS), warm)
        this.seconds = seconds
        const light = middle(grey.map((now, i) => now - mean[i])) // how much brighter the whole picture is than the background
        const columns = Math.floor(WIDTH / CELL),
            cells = new Uint8Array(columns * Math.floor(height / CELL))
        let all = 0,
            watched = 0
        for (let y = 0, i = 0; y < height; y++)
            for (let x = 0; x < WIDTH; x++, i++) {
                const now = grey[i] - light
                let least = Infinity // the least difference, also from neighbouring pixels, since the camera may shake
                for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++)
                    for (let u = Math.max(0, x - 1); u <= Math.min(WIDTH - 1, x + 1); u++)
                        least = Math.min(least, Math.abs(now - mean[v * WIDTH + u]))
                if (!ignored[i]) watched++
                if (!ignored[i] && least > NOISE + 2 * flicker[i]) {
                    all++
                    const cell = Math.floor(y / CELL) * columns + Math.floor(x / CELL)
                    if (cell < cells.length) cells[cell]++
                }
                flicker[i] += settle * (Math.abs(grey[i] - before[i]) - flicker[i])
                mean[i] += follow * (grey[i] - mean[i])
            }
        this.before = grey
        if (all > WHOLE_PICTURE * watched) {
            this.pictures = 0
            return null
        }
        return cells
    }
}

// Return the median.
const middle = numbers => numbers.slice().sort()[numbers.length >> 1]

// Return the boxes around connected changed cells, in cells, the largest first. Cells with a gap of one cell between them
// count as connected.
const things = (mask, columns) => {
    const rows = mask.length / columns,
        seen = new Uint8Array(mask.length),
        found = []
    for (let start = 0; start < mask.length; start++) {
        if (mask[start] < CHANGED || seen[start]) continue
        let count = 0,
            [left, top, right, bottom] = [columns, rows, 0, 0]
        const open = [start]
        seen[start] = 1
        while (open.length) {
            const cell = open.pop(),
                x = cell % columns,
                y = Math.floor(cell / columns)
            count++
            ;((left = Math.min(left, x)),
                (right = Math.max(right, x + 1)),
                (top = Math.min(top, y)),
                (bottom = Math.max(bottom, y + 1)))
            for (let v = Math.max(0, y - 2); v <= Math.min(rows - 1, y + 2); v++)
                for (let u = Math.max(0, x - 2); u <= Math.min(columns - 1, x + 2); u++) {
                    const near = v * columns + u
                    if (mask[near] >= CHANGED && !seen[near]) seen[near] = open.push(near) && 1
                }
        }
        if (count >= SMALLEST) found.push([count, [left, top, right - left, bottom - top]])
    }
    return found
        .sort((a, b) => b[0] - a[0])
        .slice(0, MAX_TRACKS)
        .map(([, box]) => box)
}

// Join the boxes of successive pictures into tracks. A track has a `number`, a `box`, its longer `side`, and `seen`, the
// time when it last moved. About its latest pass, it has the time (`looked`), the box (`lookedAt`) and the `score`.
// `nothing` is how many of its latest passes had the score 0, in a row.
export class Tracks {
    all = []
    last = 0

    join(boxes, seconds) {
        const pairs = this.all.flatMap(track => boxes.map(box => [apart(track.box, box), track, box]))
        const joined = new Set()
        for (const [distance, track, box] of pairs.sort((a, b) => a[0] - b[0])) {
            if (distance >= 1 + Math.min(1, Math.max(0, seconds - track.seen)) || joined.has(track) || joined.has(box))
                continue
            joined.add(track).add(box)
            // An animal that stands still fades into the background, so its box shrinks. If it was recognised, keep the
            // larger box.
            Object.assign(track, {box: track.score && holds(track.box, box) ? track.box : box, seen: seconds})
            if (track.lookedAt && apart(track.box, track.lookedAt) > MOVED) track.nothing = 0
        }
        for (const box of boxes)
            if (!joined.has(box))
                this.all.push({number: ++this.last, box, seen: seconds, looked: seconds - SELDOM, score: 0, nothing: 0})
        for (const track of this.all) track.side = Math.max(...track.box.slice(2))
    }

    // Drop tracks that have not moved for STAY seconds, or for OLD seconds if their score is at least `enough`.
    forget(seconds, enough) {
        this.all = this.all
            .filter(({seen, score}) => seen <= seconds && seconds - seen < (score >= enough ? OLD : STAY))
            .sort((a, b) => b.score - a.score || b.seen - a.seen)
            .slice(0, MAX_TRACKS)
    }
}

const holds = (a, b) => [0, 1].every(k => a[k] <= b[k] && a[k] + a[k + 2] >= b[k] + b[k + 2])

// Return how different two boxes are: the distance of their centres, or their difference in size if it is larger. The unit
// is the longest side of the two boxes.
const apart = (a, b) => {
    const longest = box => Math.max(box[2], box[3]),
        side = Math.max(longest(a), longest(b), 1)
    const off = k => Math.abs(a[k] + a[k + 2] / 2 - b[k] - b[k + 2] / 2)
    return Math.max(off(0), off(1), Math.abs(longest(a) - longest(b))) / side
}
