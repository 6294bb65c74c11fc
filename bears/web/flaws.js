// Measure three flaws that make a photo hard to recognise. A photo has a flaw if it is below the flaw's limit.
// docs/design.md says where the limits come from.

import {drawOnWhite, fit} from "./pictures.js"

const SMALL = 160 // pixels of the longer side
const DARK = 35 // mean brightness, from 0 to 255
const BLURRED = 20 // mean square of a Laplacian filter
const SIDE = 256 // pixels of the longer side to which a photo is shrunk before brightness and blur are measured

// Return a sentence about a flaw of an <img>, or an empty text. Size counts first, then darkness, then blur.
export const findFlaw = image => {
    const {naturalWidth: width, naturalHeight: height} = image
    if (!width) return ""
    if (Math.max(width, height) < SMALL)
        return `The photo is very small: ${width} × ${height} pixels. Try a larger one.`
    const [columns, rows] = fit(SIDE, width, height)
    const grey = greyOf(image, columns, rows)
    if (grey.reduce((sum, v) => sum + v, 0) / grey.length < DARK)
        return "The photo is very dark. Try one with more light."
    return sharpness(grey, columns, rows) < BLURRED ? "The photo is blurred. Try a sharper one." : ""
}

const greyOf = (image, width, height) => {
    const canvas = Object.assign(document.createElement("canvas"), {width, height})
    const {data} = drawOnWhite(canvas, image, [], {willReadFrequently: true}).getImageData(0, 0, width, height)
    return Float32Array.from({length: width * height}, (_, i) => (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3)
}

// Return the mean square of the Laplacian: four times a pixel minus its four neighbours.
const sharpness = (grey, width, height) => {
    let sum = 0
    for (let y = 1; y < height - 1; y++)
        for (let i = y * width + 1; i < (y + 1) * width - 1; i++)
            sum += (4 * grey[i] - grey[i - 1] - grey[i + 1] - grey[i - width] - grey[i + width]) ** 2
    return sum / Math.max(1, (width - 2) * (height - 2))
}
