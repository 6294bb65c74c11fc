// How the pages ask their server: by the API, as every program does.

const OFFLINE = "The page cannot reach its server. Please check your connection and try again."
const LONG_SIDE = 1024 // pixels of a photo that is sent: a phone's has four times as many, and the network sees 256
const BUSY = "Too many people are asking at the moment. Please try again in a minute."
const PAUSE = 10 // seconds until the page tries again by itself
const WAITING = `Too many people are asking at the moment. Trying again in ${PAUSE} s.`
const SESSION = Math.random().toString(36).slice(2) // tells visitors apart where a proxy gives all the same address
const STOPPED = "This photo got no answer. Please try again."
const BROKEN = "The page's server does not answer as it should. Please try again in a minute."
const TOO_LARGE = "This photo is too large for the page's server. Please choose a smaller one."
const PLAIN = [400, 408, 421, 429, 507] // with which the app refuses an upload, in plain text

// The element by which a page of somebody else's shows this app, or null; photos go to the app, not to that page.
const embed = element.closest("gradio-app[src], gradio-app[space]")
const space = embed
    ?.getAttribute("space")
    ?.replace(/[^a-z0-9]+/gi, "-")
    .toLowerCase()
const home = new URL(embed?.getAttribute("src") ?? (space ? `https://${space}.hf.space` : ""), document.baseURI)
if (embed) home.pathname = home.pathname.replace(/\/?$/, "/")
const api = new URL("gradio_api", home).href
const served = path => `${api}/file=${path.split("/").map(encodeURIComponent).join("/")}`

// An Error after which the same question may be answered another time.
const passing = sentence => Object.assign(Error(sentence), {passing: true})

const parse = text => {
    try {
        return JSON.parse(text)
    } catch {
        return null
    }
}

// Read a response as JSON. Throws an Error with the app's own sentence, or with BROKEN for a page of a proxy.
const read = async response => {
    const {ok, status, headers} = response,
        text = await response.text(),
        said = parse(text)
    if (ok && said) return said
    if (status == 413) throw Error(TOO_LARGE)
    const plain = headers.get("content-type")?.startsWith("text/plain") && PLAIN.includes(status)
    const sentence = said?.detail ?? (plain && text)
    if (typeof sentence != "string") throw passing(BROKEN)
    throw [400, 421].includes(status) ? Error(sentence) : passing(status == 503 ? BUSY : sentence)
}

// `fetch`, and again while the app says that it has no place; `wait` is told so, and when that is over.
const send = async (url, options, wait) => {
    for (;;) {
        const sent = await fetch(url, options)
        const full = [429, 503].includes(sent.status) && sent.headers.has("retry-after") // a proxy's 503 is another one
        if (!full || !wait) return sent
        wait(WAITING)
        await new Promise(done => setTimeout(done, 1000 * PAUSE))
        options.signal.throwIfAborted()
        wait()
    }
}

// What the function `name` answers about a photo; throws an Error with a sentence, or a TypeError when the server is
// not there. Without `wait` a server that has no place is such an Error, too.
const ask = async (name, file, signal, wait) => {
    const body = new FormData(),
        photo = name == "predict" ? await shrink(file) : file
    body.append("files", photo, photo.name || "photo.jpg")
    const [path] = await read(await send(`${api}/upload`, {method: "POST", body, signal}, wait))
    const data = [{path, meta: {_type: "gradio.FileData"}}],
        headers = {"Content-Type": "application/json"}
    const url = `${api}/call/${name}`
    const options = {method: "POST", headers, body: JSON.stringify({data}), signal}
    const question = await read(await send(`${url}?session=${SESSION}`, options, wait))
    return await listen(`${url}/${question.event_id}`, signal)
}

const listen = (url, signal) =>
    new Promise((done, fail) => {
        const stream = new EventSource(url)
        const close = () => stream.close()
        signal.addEventListener("abort", close)
        stream.addEventListener("complete", e => done(JSON.parse(e.data), close()))
        stream.addEventListener("error", e => {
            const sentence = e.data && JSON.parse(e.data)?.error
            fail(sentence ? Error(sentence) : e.data ? passing(STOPPED) : new TypeError("no connection"), close())
        })
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
