// A picture to show to others: the photo, the answer, where the model looked, and the page's address. It stays on this
// device until somebody shares it.

import {clamp, download} from "./pictures.js"

const WIDTH = 1080 // pixels
const MARGIN = 48
const FONT = "system-ui, sans-serif"

// Return the picture as a PNG, a Blob. `photo` and `glow` are <img> elements; the latter may have no picture.
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

// Share a picture where the device can, or save and copy it. Return what has happened, a sentence.
export const handOver = async (picture, title) => {
    const file = new File([picture], "photo-and-answer.png", {type: picture.type})
    if (navigator.canShare?.({files: [file]})) {
        await navigator.share({files: [file], title}).catch(() => null) // as when somebody thinks better of it
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
        return false // not everywhere, and not in every frame
    }
}

// Fill a rectangle with the middle of a picture.
const cover = (context, image, x, y, width, height) => {
    const {naturalWidth, naturalHeight} = image
    const scale = Math.max(width / naturalWidth, height / naturalHeight)
    const [w, h] = [width / scale, height / scale]
    context.drawImage(image, (naturalWidth - w) / 2, (naturalHeight - h) / 2, w, h, x, y, width, height)
}

// The map in the lower right corner of the photo, with a white edge.
const inset = (context, glow, bottom) => {
    const width = 300,
        height = Math.round(width * clamp(glow.naturalHeight / glow.naturalWidth, 0.6, 1.25))
    const [x, y] = [WIDTH - width - MARGIN, bottom - height - MARGIN]
    context.fillStyle = "white"
    context.fillRect(x - 6, y - 6, width + 12, height + 12)
    cover(context, glow, x, y, width, height)
}

// One line, smaller if it is long.
const write = (context, text, y, size, colour) => {
    context.font = `600 ${size}px ${FONT}`
    const fits = Math.min(1, (WIDTH - 2 * MARGIN) / context.measureText(text).width)
    context.font = `600 ${Math.floor(size * fits)}px ${FONT}`
    context.fillStyle = colour
    context.fillText(text, MARGIN, y)
}
