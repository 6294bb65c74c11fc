// A picture or the video, or the `part` of it that left, top, width and height name, as a JPEG of that size; null where
// the browser has no room for it.
const asJpeg = (picture, width, height, quality, part = []) => {
    const canvas = Object.assign(document.createElement("canvas"), {width, height}),
        context = canvas.getContext("2d")
    context.fillStyle = "white" // behind what is transparent, as the server has it
    context.fillRect(0, 0, width, height)
    context.imageSmoothingQuality = "high"
    context.drawImage(picture, ...part, 0, 0, width, height)
    return new Promise(done => canvas.toBlob(done, "image/jpeg", quality))
}
