// Open, show, shrink and convert pictures from a file or a camera.

export const LONG_SIDE = 1024 // pixels of the longer side of a photo that is sent or shown; phones' photos have about 4,000

// Open a file upright, as an ImageBitmap, or return null if the browser can't, as for HEIC.
export const openUpright = (file, options) =>
    createImageBitmap(file, {imageOrientation: "from-image", ...options}).catch(() => null)

// Return the factor, at most 1, by which a picture shrinks to a longer side of `longest` pixels.
export const scaleTo = (longest, width, height) => Math.min(1, longest / Math.max(width, height))

// Return the [width, height] of a picture shrunk to a longer side of `longest` pixels.
export const fit = (longest, width, height) =>
    [width, height].map(side => Math.max(1, Math.round(side * scaleTo(longest, width, height))))

// Fill a canvas with a picture or video, or with a `part` of it: left, top, width, height. Transparent pixels become
// white, as on the server.
export const drawOnWhite = (canvas, picture, part = [], options = {}) => {
    const context = canvas.getContext("2d", options),
        {width, height} = canvas
    context.fillStyle = "white"
    context.fillRect(0, 0, width, height)
    context.imageSmoothingQuality = "high"
    context.drawImage(picture, ...part, 0, 0, width, height)
    return context
}

// Return a picture, or a part of it, as a JPEG of this size, or null if the browser lacks memory. What is `covered`
// becomes grey: rectangles {x, y, w, h} in fractions of the JPEG.
export const asJpeg = (picture, width, height, quality, part, covered = []) => {
    const canvas = Object.assign(document.createElement("canvas"), {width, height})
    const context = drawOnWhite(canvas, picture, part)
    context.fillStyle = "grey"
    for (const {x, y, w, h} of covered) context.fillRect(x * width, y * height, w * width, h * height)
    return new Promise(done => canvas.toBlob(done, "image/jpeg", quality))
}

// Return a photo as a JPEG of at most LONG_SIDE pixels a side. A smaller file, or one that can't be opened, is returned
// unchanged.
export const shrink = async file => {
    const bitmap = await openUpright(file)
    if (!bitmap || scaleTo(LONG_SIDE, bitmap.width, bitmap.height) == 1) return file
    const small = await asJpeg(bitmap, ...fit(LONG_SIDE, bitmap.width, bitmap.height), 0.9)
    bitmap.close()
    return small ?? file
}

// Show a Blob in an <img>, or clear it, and free the memory of its previous picture.
export const showBlob = (image, blob = null) => {
    URL.revokeObjectURL(image.src)
    if (blob) image.src = URL.createObjectURL(blob)
    else image.removeAttribute("src")
}

// Show a camera in a <video>: the rear one, or the one that `wanted` describes. Rejects if there is none or the visitor
// doesn't allow it.
export const startCamera = async (video, wanted = {facingMode: "environment"}) => {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: wanted})
}

// Return where a picture of this size is in an element that shows it with `object-fit: contain`.
export const contain = ({clientWidth, clientHeight}, width, height) => {
    const scale = Math.min(clientWidth / width, clientHeight / height)
    const [left, top] = [(clientWidth - scale * width) / 2, (clientHeight - scale * height) / 2]
    return {scale, left, top, width: scale * width, height: scale * height}
}

// Lay an element over a rectangle, in pixels of the element that it is in.
export const place = (node, sides) => {
    for (const name of ["left", "top", "width", "height"]) node.style[name] = `${sides[name]}px`
}

export const clamp = (x, low, high) => Math.min(Math.max(x, low), Math.max(low, high))

// Save a Blob as a file.
export const download = (blob, name) => {
    const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name})
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000) // some browsers start the download later
}

export const stopCamera = video => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop()
}
