// Draw a picture to share, with the photo, the verdict, the heatmap and the app's address. The picture stays on this
// device until the visitor shares it.

import {clamp, download} from "./pictures.js"

const WIDTH = 1080 // pixels
const MARGIN = 48
const FONT = "system-ui, sans-serif"

// Return the picture as a PNG, a Blob. `photo` and `glow`, the heatmap, are <img> elements. `glow` may be empty.
export const drawCard = async (photo, glow, verdict, address) => {
    const height = Math.round(WIDTH * clamp(photo.naturalHeight / photo.naturalWidth, 0.6, 1.25))
    const canvas = Object.assign(document.createElement("canvas"), {width: WIDTH, height: height + 230})
    const context = canvas.getContext("2d")
    context.fillStyle = "#0c0a09"
    context.fillRect(0, 0, canvas.width, canvas.height)
    cover(context, photo, 0, 0, WIDTH, height)
    if (glow.naturalWidth) inset(context, glow, height)
    write(context, verdict, height + 105, 64, "white")
    write(context, address, height + 180, 34, "#d6d3d1")
    return new Promise(done => canvas.toBlob(done, "image/png"))
}

// Share a picture if the device can. Otherwise save and copy it. Return a sentence about what was done.
export const shareCard = async (picture, title) => {
    const file = new File([picture], "photo-and-answer.png", {type: picture.type})
    if (navigator.canShare?.({files: [file]})) {
        await navigator.share({files: [file], title}).catch(() => null) // for example when the visitor cancels
        return ""
    }
    download(file, file.name)
    const copied = await copy(picture)
    return copied ? "The picture is saved, and copied: you can paste it." : "The picture is saved."
}

const copy = async picture => {
    try {
        await navigator.clipboard.write([new ClipboardItem({[picture.type]: picture})])
        return true
    } catch {
        return false // some browsers and frames don't allow it
    }
}

// Fill a rectangle with the middle of a picture, and cut off the rest.
const cover = (context, image, x, y, width, height) => {
    const {naturalWidth, naturalHeight} = image
    const scale = Math.max(width / naturalWidth, height / naturalHeight)
    const [w, h] = [width / scale, height / scale]
    context.drawImage(image, (naturalWidth - w) / 2, (naturalHeight - h) / 2, w, h, x, y, width, height)
}

// Draw the heatmap in the lower right corner of the photo, with a white edge.
const inset = (context, glow, bottom) => {
    const width = 300,
        height = Math.round(width * clamp(glow.naturalHeight / glow.naturalWidth, 0.6, 1.25))
    const [x, y] = [WIDTH - width - MARGIN, bottom - height - MARGIN]
    context.fillStyle = "white"
    context.fillRect(x - 6, y - 6, width + 12, height + 12)
    cover(context, glow, x, y, width, height)
}

// Write a line of text. If it is too long, use smaller letters.
const write = (context, text, y, size, colour) => {
    context.font = `600 ${size}px ${FONT}`
    const fits = Math.min(1, (WIDTH - 2 * MARGIN) / context.measureText(text).width)
    context.font = `600 ${Math.floor(size * fits)}px ${FONT}`
    context.fillStyle = colour
    context.fillText(text, MARGIN, y)
}
