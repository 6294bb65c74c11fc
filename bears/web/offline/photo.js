// Open a photo from a file, or throw an Error that says why it can't be opened. `limits` are from bears/model/photo.py:
// MAX_MEGAPIXELS, MAX_MEGAPIXELS_JPEG, MAX_RATIO and SIDE.

import {openUpright} from "../pictures.js"
import {read, reduce} from "./pixels.js"

const STRIP = 10 ** 6 // pixels to read at a time

const KINDS = "Please choose a JPEG, PNG, WebP, GIF, BMP or AVIF photo."
const NO_PHOTO = `This file is not a photo that can be opened here. ${KINDS}`
const DAMAGED = "This photo is damaged or incomplete. Please save it again or choose another one."
const HEIC = "This browser can't open HEIC, the format of iPhone photos. Please save the photo as a JPEG first."
const NO_ROOM = "This photo takes too much memory to open. Please choose a smaller copy."
const THIN = "This picture is too long and thin to be a photo. Please crop it."

// The first bytes of formats that browsers open. A file that begins like this but can't be opened is damaged.
const JPEG = /^\xff\xd8\xff/
const STARTS = [JPEG, /^\x89PNG/, /^GIF8/, /^RIFF....WEBP/s, /^BM/, /^....ftypavi[fs]/s]

const start = async file => String.fromCharCode(...new Uint8Array(await file.slice(0, 16).arrayBuffer()))

export const openPhoto = async ({file, width = 0, height = 0, limits}) => {
    const bytes = await start(file)
    const limit = JPEG.test(bytes) ? limits.MAX_MEGAPIXELS_JPEG : limits.MAX_MEGAPIXELS
    const megapixels = (width * height) / 10 ** 6
    if (megapixels > limit) throw Error(`This photo has more than ${limit} megapixels. Please choose a smaller copy.`)
    if (Math.max(width, height) > limits.MAX_RATIO * Math.min(width, height)) throw Error(THIN)
    // Ignore the photo's colour profile, as in training.
    const bitmap = await openUpright(file, {colorSpaceConversion: "none"})
    if (bitmap) return shrink(bitmap, limits.SIDE, JPEG.test(bytes))
    if (megapixels > limits.MAX_MEGAPIXELS) throw Error(NO_ROOM)
    if (/^....ftyp(hei[cfsx]|hev[cx]|mif1|msf1)/s.test(bytes)) throw Error(HEIC)
    throw Error(STARTS.some(kind => kind.test(bytes)) ? DAMAGED : NO_PHOTO)
}

// Shrink a large photo as the app does: its shorter side gets at least `side` pixels, and less than twice as many.
const shrink = (bitmap, side, isJpeg) => {
    const {width, height} = bitmap
    const short = Math.min(width, height)
    let factor = Math.floor(short / side)
    // Pillow can decode a JPEG at an eighth, a quarter or half of its sides.
    if (isJpeg) {
        const decoded = [8, 4, 2].find(scale => Math.ceil(short / scale) >= side) ?? 1
        factor = decoded * Math.floor(Math.ceil(short / decoded) / side)
    }
    if (factor < 2) return bitmap
    const small = new OffscreenCanvas(Math.ceil(width / factor), Math.ceil(height / factor))
    const context = small.getContext("2d")
    const rows = factor * Math.ceil(STRIP / width / factor)
    for (let top = 0; top < height; top += rows) {
        const strip = read(bitmap, {left: 0, top, width, height: Math.min(rows, height - top)})
        context.putImageData(reduce(strip, factor), 0, top / factor)
    }
    bitmap.close()
    return small
}
