// Resize and reduce pixels exactly as Pillow does (src/libImaging/Resample.c and Reduce.c), to the last bit. The network
// was trained on photos that Pillow has shrunk, and a canvas shrinks photos differently.

import {drawOnWhite} from "../pictures.js"

const BITS = 22 // weights are whole multiples of 1 / 2^22

export const BILINEAR = {support: 1, weight: x => Math.max(0, 1 - Math.abs(x))}
export const BICUBIC = {
    support: 2,
    weight: x => {
        const d = Math.abs(x)
        if (d < 1) return (1.5 * d - 2.5) * d * d + 1
        return d < 2 ? ((d - 5) * d + 8) * -0.5 * d + 2 : 0
    },
}

// Return which old pixels count for each new pixel of a row, and how much. The old pixels start at `first`, and there are
// `count` of them. `weights` has room for `size` weights for each new pixel.
const plan = (length, wanted, {support, weight}) => {
    const scale = length / wanted
    const stretch = Math.max(scale, 1)
    const reach = support * stretch
    const size = Math.ceil(reach) * 2 + 1
    const [first, count, weights] = [1, 1, size].map(n => new Int32Array(wanted * n))
    for (let i = 0; i < wanted; i++) {
        const centre = (i + 0.5) * scale
        const start = Math.max(0, Math.trunc(centre - reach + 0.5))
        const n = Math.min(length, Math.trunc(centre + reach + 0.5)) - start
        const parts = Array.from({length: n}, (_, x) => weight((x + start - centre + 0.5) / stretch))
        const sum = parts.reduce((a, b) => a + b, 0)
        parts.forEach((part, x) => {
            const share = (part / sum) * 2 ** BITS
            weights[i * size + x] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5)
        })
        first[i] = start
        count[i] = n
    }
    return {first, count, weights, size}
}

// Resize along the rows or the columns: `lines` lines, each from `length` to `wanted` pixels. In `source`, two neighbouring
// pixels are `step` bytes apart, and two neighbouring lines `jump` bytes. In `out`, these distances are `newStep` and
// `newJump`.
const pass = (source, length, wanted, filter, lines, [step, jump], [newStep, newJump], channels, out) => {
    const {first, count, weights, size} = plan(length, wanted, filter)
    for (let line = 0; line < lines; line++)
        for (let i = 0; i < wanted; i++)
            for (let c = 0; c < channels; c++) {
                let at = line * jump + first[i] * step + c
                let sum = 1 << (BITS - 1)
                for (let k = i * size, end = k + count[i]; k < end; k++, at += step) sum += source[at] * weights[k]
                out[line * newJump + i * newStep + c] = sum >> BITS // a Uint8ClampedArray clips
            }
    return out
}

// Resize the pixels of a picture from [width, height] to [newWidth, newHeight]. Each old pixel has `from` bytes, of which
// the first `channels` are used.
export const resize = (pixels, from, channels, [width, height], [newWidth, newHeight], filter) => {
    const row = newWidth * channels
    const rows = new Uint8ClampedArray(height * row)
    pass(pixels, width, newWidth, filter, height, [from, width * from], [channels, row], channels, rows)
    const out = new Uint8ClampedArray(newHeight * row)
    return pass(rows, height, newHeight, filter, newWidth, [row, channels], [row, channels], channels, out)
}

// Replace each block of `factor` × `factor` RGBA pixels by its average. Blocks at the right and lower edge may be smaller.
export const reduce = ({data, width, height}, factor) => {
    const out = new ImageData(Math.ceil(width / factor), Math.ceil(height / factor))
    const sums = new Uint32Array(out.width * 4)
    for (let row = 0; row < out.height; row++) {
        const end = Math.min(height, (row + 1) * factor)
        const rows = end - row * factor
        sums.fill(0)
        for (let y = row * factor; y < end; y++)
            for (let x = 0, at = y * width * 4; x < width; x++, at += 4) {
                const block = 4 * Math.trunc(x / factor)
                for (let c = 0; c < 4; c++) sums[block + c] += data[at + c]
            }
        sums.forEach((sum, i) => {
            const area = rows * Math.min(factor, width - (i >> 2) * factor)
            out.data[row * out.width * 4 + i] = Math.trunc((sum + (area >> 1)) / area)
        })
    }
    return out
}

// Return a part of a picture as ImageData. Transparent pixels become white.
export const read = (picture, {left, top, width, height}) => {
    const canvas = new OffscreenCanvas(width, height)
    const context = drawOnWhite(canvas, picture, [left, top, width, height], {willReadFrequently: true})
    return context.getImageData(0, 0, width, height)
}
