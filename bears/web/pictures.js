// Pictures from a file or a camera: opened, shown, shrunk, drawn on white and made into JPEGs, on both pages.

export const LONG_SIDE = 1024 // pixels of a photo that is sent or shown: a phone's has four times as many

// Open a file upright, as an ImageBitmap; null if the browser cannot, as HEIC.
export const openUpright = (file, options) =>
    createImageBitmap(file, {imageOrientation: "from-image", ...options}).catch(() => null)

// Return by how much a picture shrinks so that its longer side is at most `longest`.
export const scaleTo = (longest, width, height) => Math.min(1, longest / Math.max(width, height))

// Return the [width, height] that it then has.
export const fit = (longest, width, height) =>
    [width, height].map(side => Math.max(1, Math.round(side * scaleTo(longest, width, height))))

// Fill a canvas with a picture or the video, or with the `part` of it that left, top, width and height name. What is
// transparent becomes white, as on the server.
export const drawOnWhite = (canvas, picture, part = [], options = {}) => {
    const context = canvas.getContext("2d", options),
        {width, height} = canvas
    context.fillStyle = "white"
    context.fillRect(0, 0, width, height)
    context.imageSmoothingQuality = "high"
    context.drawImage(picture, ...part, 0, 0, width, height)
    return context
}

// Return the same as a JPEG of that size; null where the browser has no room for it.
export const asJpeg = (picture, width, height, quality, part) => {
    const canvas = Object.assign(document.createElement("canvas"), {width, height})
    drawOnWhite(canvas, picture, part)
    return new Promise(done => canvas.toBlob(done, "image/jpeg", quality))
}

// Return a photo as a JPEG of at most LONG_SIDE; the file itself if it is no larger, or cannot be opened.
export const shrink = async file => {
    const bitmap = await openUpright(file)
    if (!bitmap || scaleTo(LONG_SIDE, bitmap.width, bitmap.height) == 1) return file
    const small = await asJpeg(bitmap, ...fit(LONG_SIDE, bitmap.width, bitmap.height), 0.9)
    bitmap.close()
    return small ?? file
}

// Show a Blob in an <img>, or nothing, and free the memory of what it has shown before.
export const showBlob = (image, blob = null) => {
    URL.revokeObjectURL(image.src)
    if (blob) image.src = URL.createObjectURL(blob)
    else image.removeAttribute("src")
}

// Show a camera in a <video>: the rear one, or what is `wanted` instead. Rejects if there is none, or it is not allowed.
export const startCamera = async (video, wanted = {facingMode: "environment"}) => {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: wanted})
}

// Return where a picture of that size is in an element that shows all of it, as `object-fit: contain` does.
export const contain = ({clientWidth, clientHeight}, width, height) => {
    const scale = Math.min(clientWidth / width, clientHeight / height)
    const [left, top] = [(clientWidth - scale * width) / 2, (clientHeight - scale * height) / 2]
    return {scale, left, top, width: scale * width, height: scale * height}
}

export const clamp = (x, low, high) => Math.min(Math.max(x, low), Math.max(low, high))

// Save a Blob as a file.
export const download = (blob, name) => {
    const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name})
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000) // some browsers begin later
}

export const stopCamera = video => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop()
}
