// Let the visitor choose a part of a photo, or of a camera's picture, by tap, drag, pinch or keyboard.

import {clamp, contain, place} from "./pictures.js"

const TAPPED = 0.6 // the side of a part around a tap, as a share of the photo's shorter side
const FIRST = {x: 0.1, y: 0.1, w: 0.8, h: 0.8} // the part at the start, in fractions of the photo's sides
const MARGIN = 1.8 // the side of a part around an animal, as a multiple of the animal's longer side
const LEAST = 0.08 // the least side of a part, as a share of the photo's side
const STEP = 0.03 // how far an arrow key moves the part, as a share of the photo's side
const NEAR = 24 // pixels; a finger drags a corner if it is closer than this

const distance = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y)

export class Crop {
    fingers = new Map() // the position of each pointer, by its id

    // `image` shows the photo. It may be a <video>. `box` shows the chosen part. Both are in `frame`. Enter calls `ask`,
    // and Escape calls `cancel`.
    constructor(frame, image, box, {ask, cancel}) {
        Object.assign(this, {frame, image, box, ask, cancel})
        for (const [name, listener] of [
            ["pointerdown", this.grab],
            ["pointermove", this.move],
            ["pointerup", this.release],
            ["pointercancel", this.release],
        ])
            frame.addEventListener(name, event => this.active && listener.call(this, event))
        frame.addEventListener("wheel", event => this.active && this.zoom(event), {passive: false})
        box.addEventListener("keydown", event => this.press(event))
        new ResizeObserver(() => this.active && this.draw()).observe(frame)
    }

    // Begin with a part around `at`, a point in the window, or else with `box`: left, top, right and bottom in fractions
    // of the photo. Without both, begin with most of the photo.
    start(at = null, box = null) {
        this.active = true
        this.fingers.clear()
        if (at) this.part = this.around(this.toPhoto(at))
        else if (box) this.part = this.aroundBox(box)
        else this.part = FIRST
        this.draw()
    }

    stop() {
        this.active = false
    }

    // Return the chosen part: left, top, width and height in pixels of the photo.
    pixels() {
        const [width, height] = this.size(),
            {x, y, w, h} = this.part
        return [x * width, y * height, w * width, h * height].map(Math.round)
    }

    // Return the place of the photo in the frame: {left, top, width, height}.
    shown() {
        return contain(this.frame, ...this.size())
    }

    size() {
        const {naturalWidth, naturalHeight, videoWidth, videoHeight} = this.image
        return [naturalWidth ?? videoWidth, naturalHeight ?? videoHeight]
    }

    // Convert a point of the window to fractions of the photo's sides.
    toPhoto({clientX, clientY}) {
        const frame = this.frame.getBoundingClientRect(),
            {left, top, width, height} = this.shown()
        const x = (clientX - frame.left - this.frame.clientLeft - left) / width
        const y = (clientY - frame.top - this.frame.clientTop - top) / height
        return {x: clamp(x, 0, 1), y: clamp(y, 0, 1)}
    }

    // Return a part around a point. It looks square on the screen, and its side is a `share` of the photo's shorter side.
    around({x, y}, share = TAPPED) {
        const {width, height} = this.shown()
        const side = share * Math.min(width, height)
        return this.inside({x: x - side / width / 2, y: y - side / height / 2, w: side / width, h: side / height})
    }

    // Return a part around an animal, with a margin.
    aroundBox([left, top, right, bottom]) {
        const {width, height} = this.shown()
        const side = MARGIN * Math.max((right - left) * width, (bottom - top) * height)
        return this.around({x: (left + right) / 2, y: (top + bottom) / 2}, side / Math.min(width, height))
    }

    inside({x, y, w, h}) {
        const [width, height] = [w, h].map(side => clamp(side, LEAST, 1))
        return {x: clamp(x, 0, 1 - width), y: clamp(y, 0, 1 - height), w: width, h: height}
    }

    draw() {
        const {left, top, width, height} = this.shown(),
            {x, y, w, h} = this.part
        place(this.box, {left: left + x * width, top: top + y * height, width: w * width, height: h * height})
    }

    set(part) {
        this.part = this.inside(part)
        this.draw()
    }

    // If the finger is on a corner or on the part, begin to drag it. Otherwise, begin to draw a new part. A finger that
    // doesn't move is a tap.
    grab(event) {
        if (event.target.closest("button")) return
        event.preventDefault()
        this.frame.setPointerCapture(event.pointerId)
        const at = this.toPhoto(event)
        this.fingers.set(event.pointerId, at)
        const part = this.fingers.size > 1 ? this.begin.part : this.part
        this.begin = {at, part, fixed: this.opposite(event), moved: false}
        const {x, y, w, h} = part
        this.begin.holds = at.x > x && at.x < x + w && at.y > y && at.y < y + h
        if (this.fingers.size == 2) this.begin.apart = distance([...this.fingers.values()])
    }

    // If the pointer is near a corner, return the opposite corner. Otherwise return null.
    opposite({clientX, clientY}) {
        const box = this.box.getBoundingClientRect(),
            {x, y, w, h} = this.part
        const near = (a, b) => Math.abs(a - b) < NEAR
        const [west, east, north, south] = [
            near(clientX, box.left),
            near(clientX, box.right),
            near(clientY, box.top),
            near(clientY, box.bottom),
        ]
        return (west || east) && (north || south) ? {x: east ? x : x + w, y: south ? y : y + h} : null
    }

    move(event) {
        if (!this.fingers.has(event.pointerId)) return
        const at = this.toPhoto(event)
        this.fingers.set(event.pointerId, at)
        const {begin} = this
        begin.moved ||= distance([at, begin.at]) > 0.01
        if (this.fingers.size > 1) return this.scale(begin.part, distance([...this.fingers.values()]) / begin.apart)
        if (!begin.moved) return
        if (begin.holds && !begin.fixed)
            return this.set({...begin.part, x: begin.part.x + at.x - begin.at.x, y: begin.part.y + at.y - begin.at.y})
        const from = begin.fixed ?? begin.at
        const part = {x: Math.min(from.x, at.x), y: Math.min(from.y, at.y)}
        this.set({...part, w: Math.abs(from.x - at.x), h: Math.abs(from.y - at.y)})
    }

    release(event) {
        if (!this.fingers.delete(event.pointerId)) return
        const {begin} = this
        if (event.type == "pointerup" && !begin.moved && !begin.apart) this.set(this.around(begin.at))
        if (this.fingers.size) this.begin = {...begin, part: this.part, at: [...this.fingers.values()][0], holds: true}
    }

    zoom(event) {
        event.preventDefault()
        this.scale(this.part, event.deltaY < 0 ? 1.1 : 1 / 1.1)
    }

    // Make a part larger or smaller around its middle.
    scale({x, y, w, h}, factor) {
        if (Number.isFinite(factor))
            this.set({x: x + (w * (1 - factor)) / 2, y: y + (h * (1 - factor)) / 2, w: w * factor, h: h * factor})
    }

    press(event) {
        const {x, y} = this.part
        const actions = {
            ArrowLeft: () => this.set({...this.part, x: x - STEP}),
            ArrowRight: () => this.set({...this.part, x: x + STEP}),
            ArrowUp: () => this.set({...this.part, y: y - STEP}),
            ArrowDown: () => this.set({...this.part, y: y + STEP}),
            "+": () => this.scale(this.part, 1.1),
            "=": () => this.scale(this.part, 1.1),
            "-": () => this.scale(this.part, 1 / 1.1),
            Enter: this.ask,
            Escape: this.cancel,
        }
        if (!actions[event.key]) return
        event.preventDefault()
        actions[event.key]()
    }
}
