// How the pages ask their server: as every program does, by the API.

const OFFLINE = "The page cannot reach its server. Please check your connection and try again."
const LONG_SIDE = 1024 // pixels of a photo that is sent: a phone's has four times as many, and the network sees 256
const BUSY = "Too many people are asking at the moment. Please try again in a minute."
const STOPPED = "This photo got no answer. Please try again."

const api = new URL("gradio_api", document.baseURI).href
const served = path => `${api}/file=${path.split("/").map(encodeURIComponent).join("/")}`

// What the function `name` answers about a photo; throws an Error with a sentence, or a TypeError when the server is
// not there.
const ask = async (name, file, signal) => {
    const body = new FormData(),
        photo = name == "predict" ? await shrink(file) : file
    body.append("files", photo, photo.name || "photo.jpg")
    const sent = await fetch(`${api}/upload`, {method: "POST", body, signal})
    if (!sent.ok) throw Error(await sent.text())
    const [path] = await sent.json()
    const data = [{path, meta: {_type: "gradio.FileData"}}],
        headers = {"Content-Type": "application/json"}
    const url = `${api}/call/${name}`
    const asked = await fetch(url, {method: "POST", headers, body: JSON.stringify({data}), signal})
    if (asked.status == 503) throw Error(BUSY)
    const question = await asked.json()
    if (!asked.ok) throw Error(question.detail)
    return await listen(`${url}/${question.event_id}`, signal)
}

const listen = (url, signal) =>
    new Promise((done, fail) => {
        const stream = new EventSource(url)
        const close = () => stream.close()
        signal.addEventListener("abort", close)
        stream.addEventListener("complete", e => done(JSON.parse(e.data), close()))
        stream.addEventListener("error", e =>
            fail(e.data ? Error(JSON.parse(e.data)?.error ?? STOPPED) : new TypeError("no connection"), close()),
        )
    })

// The photo as a JPEG of at most LONG_SIDE; as it is where it is no larger, or the browser cannot open it, as HEIC.
const shrink = async file => {
    const bitmap = await createImageBitmap(file, {imageOrientation: "from-image"}).catch(() => null)
    const scale = bitmap ? LONG_SIDE / Math.max(bitmap.width, bitmap.height) : 1
    if (scale >= 1) return file
    const sides = [bitmap.width, bitmap.height].map(side => Math.max(1, Math.round(side * scale)))
    const small = await asJpeg(bitmap, ...sides, 0.9)
    bitmap.close()
    return small ?? file
}
