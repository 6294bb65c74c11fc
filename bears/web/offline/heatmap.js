// Draw an activation map over a photo, in the same way and with the same colours as bears/model/heatmap.py.

import {drawOnWhite, fit, LONG_SIDE, scaleTo} from "../pictures.js"
import {BICUBIC, resize} from "./pixels.js"

const LINE = 400 // as in bears/model/heatmap.py

// Return the photo with the map over it as a JPEG, a Blob. `cam` is a square map for the part `box` of the photo.
// `palette` has 256 colours of three bytes.
export const heatmap = async (photo, cam, box, palette) => {
    const scale = scaleTo(LONG_SIDE, photo.width, photo.height)
    const [left, top] = [box.left, box.top].map(n => Math.round(n * scale))
    const [width, height] = [box.width, box.height].map(n => Math.max(1, Math.round(n * scale)))
    const canvas = new OffscreenCanvas(...fit(LONG_SIDE, photo.width, photo.height))
    const context = drawOnWhite(canvas, photo)
    const side = Math.sqrt(cam.length)
    const peak = Math.max(...cam, 1e-6)
    const heat = Uint8Array.from(cam, v => 255 * Math.min(1, Math.max(0, v / peak)))
    const grown = resize(heat, 1, 1, [side, side], [width, height], BICUBIC)
    const layer = new ImageData(width, height)
    grown.forEach((v, i) => {
        for (let c = 0; c < 3; c++) layer.data[4 * i + c] = palette[3 * v + c]
        layer.data[4 * i + 3] = 80 + (v >> 1)
    })
    context.drawImage(await createImageBitmap(layer), left, top)
    outline(context, left, top, width, height)
    return canvas.convertToBlob({type: "image/jpeg", quality: 0.85})
}

// Draw a white line around a box, and a black line inside it, so that one of the two can be seen on any photo.
const outline = (context, left, top, width, height) => {
    const {canvas} = context
    const line = Math.max(1, Math.floor(Math.max(canvas.width, canvas.height) / LINE))
    for (const [colour, lines] of Object.entries({black: 2, white: 1})) {
        const half = (lines * line) / 2
        Object.assign(context, {strokeStyle: colour, lineWidth: lines * line})
        context.strokeRect(left + half, top + half, width - 2 * half, height - 2 * half)
    }
}
