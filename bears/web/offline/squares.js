// Classify all squares of a photo, as bears/model/squares.py does. If the answer is not sure, enlarge the photo and
// classify it again. bears/offline/site.py writes `facts`. bears/offline/parity.py does the same as this file in Python.

import {GROUP, largest, NONE, SURE, UNSURE} from "../answer.js"
import {heatmap} from "./heatmap.js"
import {BILINEAR, read, resize} from "./pixels.js"

// Round as Python does: halves go to the even number.
const round = x => (Math.abs(x % 1) == 0.5 ? 2 * Math.round(x / 2) : Math.round(x))

// Cover a row of `n` cells with as few evenly spaced squares of `side` cells as possible. If `stride` is given, squares
// start at most `stride` cells apart. Return the first cell of each square, like `cover` in bears/model/squares.py.
export const cover = (n, side, stride) => {
    let count = Math.ceil(n / side)
    if (stride) count = Math.ceil((n - side) / stride) + 1
    else if (count % 2 == 0) count++
    const starts = Array.from({length: count}, (_, i) => round(count > 1 ? i * ((n - side) / (count - 1)) : 0))
    return [...new Set(starts)]
}

// Return the kind of answer, like `certainty` in bears/model/ood.py. tests/answers.json has test cases for both.
export const certainty = ({threshold, sure, likely, groups}, probs, score) => {
    if (score < threshold) return NONE // the comparison is false if there is no threshold
    if (score < sure) return UNSURE
    const top = largest(probs)
    if (probs[top] >= likely) return SURE
    const group = groups.find(members => members.includes(top)) ?? []
    return group.reduce((sum, i) => sum + probs[i], 0) >= likely ? GROUP : UNSURE
}

// Return whether a photo with this score gets a second pass, like `is_worth_another` in bears/model/squares.py.
export const isWorthAnother = ({hopeless, sure}, score) => score >= hopeless && score < sure

export class Squares {
    // `run` runs the ONNX graph on a picture, {pixels, width, height} in RGB, and returns its outputs.
    constructor(run, facts) {
        Object.assign(this, {run, facts, cell: facts.size / facts.side})
    }

    // Return the answer about an upright picture that a canvas can draw: {probs, certainty, score, box, cam}.
    async ask(picture) {
        const {facts} = this
        let answer = await this.look(picture, facts.size, null)
        if (facts.whole && isWorthAnother(facts, answer.score)) {
            const again = await this.look(picture, facts.closer, facts.side >> 1)
            if (again.score > answer.score) answer = again
        }
        return {...answer, certainty: certainty(facts, answer.probs, answer.score)}
    }

    async look(picture, size, stride) {
        const {facts, cell} = this
        const seen = this.visible(picture.width, picture.height)
        const shape = this.target(seen, size)
        const pixels = resize(read(picture, seen).data, 4, 3, [seen.width, seen.height], shape, BILINEAR)
        const found = await this.run({pixels, width: shape[0], height: shape[1]})
        const [columns, rows] = shape.map(side => side / cell)
        const [xs, ys] = [columns, rows].map(n => cover(n, facts.side, stride))
        const corners = ys.flatMap(y => xs.map(x => [x, y]))
        const squares = corners.map(([x, y]) => y * (columns - facts.side + 1) + x)
        const best = found.score ? largest(squares.map(square => found.score[square])) : 0
        const start = squares[best] * facts.classes.length
        const probs = found.probs.slice(start, start + facts.classes.length)
        return {
            probs: [...probs],
            score: found.score?.[squares[best]],
            box: this.box(seen, shape, corners[best]),
            cam: found.cams && cutOut(found.cams, largest(probs), [columns, rows], corners[best], facts.side),
        }
    }

    // Return the part of a photo to classify. It is the whole photo, unless its longer side is more than `ratio` times as
    // long as the other side. Then both ends are cut off.
    visible(width, height) {
        const {whole, ratio} = this.facts
        const side = Math.min(width, height)
        if (!whole) return {left: (width - side) >> 1, top: (height - side) >> 1, width: side, height: side}
        const [left, top] = [width, height].map(long => Math.max(0, long - ratio * side) >> 1)
        return {left, top, width: width - 2 * left, height: height - 2 * top}
    }

    // Return the [width, height] in pixels to which the part `seen` is resized, like `target` in bears/model/squares.py.
    target(seen, size) {
        const cells = side => round((side * size) / Math.min(seen.width, seen.height) / this.cell)
        return [seen.width, seen.height].map(side => Math.max(size, cells(side) * this.cell))
    }

    // Return the box of a square in the photo, {left, top, width, height}, like `box` in bears/model/squares.py.
    box(seen, shape, [column, row]) {
        const scale = [seen.width / shape[0], seen.height / shape[1]]
        const left = seen.left + round(column * this.cell * scale[0])
        const top = seen.top + round(row * this.cell * scale[1])
        const [right, bottom] = scale.map((s, i) => [left, top][i] + round(this.facts.size * s))
        return {
            left,
            top,
            width: Math.min(seen.left + seen.width, right) - left,
            height: Math.min(seen.top + seen.height, bottom) - top,
        }
    }

    // Return the photo with the heatmap as a JPEG, a Blob.
    draw(picture, cam, box) {
        return heatmap(picture, cam, box, this.facts.palette)
    }
}

// Return one square of the map of one class: `side` × `side` numbers.
const cutOut = (maps, label, [columns, rows], [x, y], side) => {
    const start = label * columns * rows
    const row = i => maps.slice(start + (y + i) * columns + x, start + (y + i) * columns + x + side)
    return Array.from({length: side}, (_, i) => [...row(i)]).flat()
}
