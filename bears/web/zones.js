// Parts of a camera's picture in which movement is ignored, as {x, y, w, h} in fractions of the picture. The browser
// stores them. bears/watch/zones.py has the same rule, and docs/alarm_vectors.json has test cases for both.

import {keep, kept, make} from "./tab.js"

const NAME = "ignored parts"
const LEAST = 0.05 // the share of the picture that must be left to watch
const STOP = "Stop ignoring this part"

// Return a part's left, top, right and bottom in pixels of a picture of this size. This box contains every pixel that the
// part touches.
export const inPixels = ({x, y, w, h}, width, height) => [
    Math.floor(x * width),
    Math.floor(y * height),
    Math.min(width, Math.ceil((x + w) * width)),
    Math.min(height, Math.ceil((y + h) * height)),
]

// Return an array with a number for each pixel of a picture of this size, row by row: 1 if it is ignored, or else 0.
export const maskOf = (zones, width, height) => {
    const mask = new Uint8Array(width * height)
    for (const zone of zones) {
        const [left, top, right, bottom] = inPixels(zone, width, height)
        for (let y = top; y < bottom; y++) mask.fill(1, y * width + left, y * width + right)
    }
    return mask
}

export class Zones {
    all = kept(NAME) ?? []

    // `element` is on top of the picture, and gets a button for each part.
    constructor(element) {
        this.element = element
        this.show()
    }

    show() {
        this.element.replaceChildren(...this.all.map(zone => this.createButton(zone)))
    }

    createButton(zone) {
        const button = make("button", {ariaLabel: STOP, title: STOP, onclick: () => this.remove(zone)}, "✕")
        const {x, y, w, h} = zone
        const sides = {left: x, top: y, width: w, height: h}
        for (const [name, side] of Object.entries(sides)) button.style[name] = `${100 * side}%`
        return button
    }

    // Add a part if enough of the picture is left to watch. Return whether it was added.
    add(zone) {
        const mask = maskOf([...this.all, zone], 100, 100)
        if (mask.filter(ignored => !ignored).length < LEAST * mask.length) return false
        this.set([...this.all, zone])
        return true
    }

    remove(zone) {
        this.set(this.all.filter(other => other != zone))
    }

    set(all) {
        this.all = all
        keep(NAME, all)
        this.show()
    }

    // Return whether the middle of a box, [left, top, width, height], is ignored in a picture of this size.
    hides([left, top, width, height], ...size) {
        const [u, v] = [(left + width / 2) / size[0], (top + height / 2) / size[1]]
        return this.all.some(({x, y, w, h}) => u >= x && u <= x + w && v >= y && v <= y + h)
    }
}
