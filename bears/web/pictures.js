// Open, show, shrink and convert pictures from a file or a camera.

export const LONG_SIDE = 1024 // pixels of the longer side of a photo that is sent or shown; phones' photos have about 4,000

// Open a photo's file upright, as an ImageBitmap. Return null if the browser can't open it, such as HEIC.
export const openUpright = (file, options) =>
    createImageBitmap(file, {imageOrientation: "from-image", ...options}).catch(() => null)

// Return the factor, at most 1, that shrinks a picture's longer side to at most `longest` pixels.
export const scaleTo = (longest, width, height) => Math.min(1, longest / Math.max(width, height))

// Return a picture's [width, height] after its longer side is shrunk to at most `longest` pixels.
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

// Return a picture, or a `part` of it, as a JPEG of this size. Return null if the browser has too little memory. The
// rectangles in `covered`, {x, y, w, h} in fractions of the JPEG, become grey.
export const asJpeg = (picture, width, height, quality, part, covered = []) => {
    const canvas = Object.assign(document.createElement("canvas"), {width, height})
    const context = drawOnWhite(canvas, picture, part)
    context.fillStyle = "grey"
    for (const {x, y, w, h} of covered) context.fillRect(x * width, y * height, w * width, h * height)
    return new Promise(done => canvas.toBlob(done, "image/jpeg", quality))
}

// Return a photo as a JPEG of at most LONG_SIDE pixels a side. Return a smaller photo, or a file that can't be opened,
// unchanged.
export const shrink = async file => {
    const bitmap = await openUpright(file)
    if (!bitmap || scaleTo(LONG_SIDE, bitmap.width, bitmap.height) == 1) return file
    const small = await asJpeg(bitmap, ...fit(LONG_SIDE, bitmap.width, bitmap.height), 0.9)
    bitmap.close()
    return small ?? file
}

// Show a Blob in an <img>, or clear the <img>. Free the memory of its previous picture.
export const showBlob = (image, blob = null) => {
    URL.revokeObjectURL(image.src)
    if (blob) image.src = URL.createObjectURL(blob)
    else image.removeAttribute("src")
}

// Show the camera that `wanted` describes (default: the rear one) in a <video>. Rejects if there is no camera, or if the
// visitor doesn't allow it.
export const startCamera = async (video, wanted = {facingMode: "environment"}) => {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: wanted})
}

// Return where a picture of this size is in an element that shows it with `object-fit: contain`.
export const contain = ({clientWidth, clientHeight}, width, height) => {
    const scale = Math.min(clientWidth / width, clientHeight / height)
    const [left, top] = [(clientWidth - scale * width) / 2, (clientHeight - scale * height) / 2]
    return {scale, left, top, width: scale * width, height: scale * height}
}

// Place an element over a rectangle. The sides of the rectangle are in pixels of the parent element.
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
