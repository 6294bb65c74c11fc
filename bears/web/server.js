// The back end of the app. It calls the server's API, which other programs can use, too.

import {shrink} from "./pictures.js"
import {pause} from "./tab.js"

export const UNREACHABLE = "Can't reach the server. Please check your connection and try again."
const BUSY = "The app is busy right now. Please try again in a minute."
const PAUSE = 10 // seconds until the next try
const WAITING = `The app is busy right now. Trying again in ${PAUSE} s.`
const SESSION = Math.random().toString(36).slice(2) // tells visitors apart if they share the address of a proxy
const STOPPED = "Something went wrong with this photo. Please try again."
const BROKEN = "The server gave an unexpected answer. Please try again in a minute."
const TOO_LARGE = "This photo is too large for the server. Please choose a smaller one."
const PLAIN = [400, 408, 421, 429, 507] // statuses with which the app refuses an upload, with a sentence in plain text

export const home = new URL("../../", import.meta.url) // the app's address, even if another website's page shows the app
const api = new URL("gradio_api", home).href

export const address = home

// Return the answer that is shown at the start, about an example, or null if there are no examples.
export const first = async () => {
    const sent = await fetch(new URL("web/first", home))
    return sent.status == 200 ? sent.json() : null
}

// Return the address of the offline version if this browser has saved it, or null.
export const savedOffline = async () => {
    const scope = new URL("offline/", home).href
    try {
        const saved = await navigator.serviceWorker.getRegistration(scope)
        return saved?.active && saved.scope == scope ? scope : null
    } catch {
        return null // without https, in some frames, or on another website's page
    }
}

// Return the address of a file that the app serves.
export const addressOf = path => `${api}/file=${path.split("/").map(encodeURIComponent).join("/")}`

// Return the answer about a photo. Throws an Error with a sentence, or a TypeError if the server can't be reached.
// If the visitor has to wait, `wait(sentence, done)` is called with the reason and, if it is known, the share of the wait
// that is over, from 0 to 1. `wait()` is called when the wait is over. Without `wait`, a busy server causes an Error.
export const predict = async (file, signal, wait) => {
    const [{confidences, animals}, verdict, cam, certainty] = await ask("predict", await shrink(file), signal, wait)
    const rows = confidences.map(({label, confidence}) => [label, confidence])
    return {rows, verdict, map: cam && addressOf(cam.path), certainty, animals}
}

// Return the answer about a camera picture.
export const classifyFrame = async (file, signal, wait) => {
    const [answer] = await ask("classify_frame", file, signal, wait)
    return answer
}

const upload = async (photo, signal, wait) => {
    const body = new FormData()
    body.append("files", photo, photo.name || "photo.jpg")
    const [path] = await read(await send(`${api}/upload`, {method: "POST", body, signal}, wait))
    return {path, meta: {_type: "gradio.FileData"}}
}

// Call the function `name` of the API with a photo, if there is one, and the inputs in `more`. Return its results.
export const ask = async (name, photo, signal, wait, ...more) => {
    const data = [...(photo ? [await upload(photo, signal, wait)] : []), ...more],
        headers = {"Content-Type": "application/json"}
    const url = `${api}/call/${name}`
    const options = {method: "POST", headers, body: JSON.stringify({data}), signal}
    const question = await read(await send(`${url}?session=${SESSION}`, options, wait))
    return await listen(`${url}/${question.event_id}`, signal, name == "predict" ? wait : null)
}

// Return a function that tells `wait` how many photos are ahead of this one in the queue, and how much of the wait is over.
const placeTeller = (url, signal, wait) => {
    let most = 0
    return async () => {
        const sent = await fetch(new URL(`web/place/${url.split("/").pop()}`, home), {signal}).catch(() => null)
        const before = sent?.ok ? await sent.json() : 0
        most = Math.max(most, before)
        if (!before) return wait()
        wait(`Looking… ${before} ${before == 1 ? "photo is" : "photos are"} ahead of yours.`, 1 - before / most)
    }
}

// Call `fetch`. If there is a `wait`, repeat the call while the app is busy.
const send = async (url, options, wait) => {
    for (;;) {
        const sent = await fetch(url, options)
        const full = [429, 503].includes(sent.status) && sent.headers.has("retry-after") // a proxy's 503 lacks this header
        if (!full || !wait) return sent
        wait(WAITING)
        await pause(PAUSE)
        options.signal.throwIfAborted()
        wait()
    }
}

// Read a response as JSON. Throws an Error with the app's sentence, or with BROKEN if the response is not from the app.
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

const parse = text => {
    try {
        return JSON.parse(text)
    } catch {
        return null
    }
}

// Return an Error for a problem that may pass, so that trying again may help.
const passing = sentence => Object.assign(Error(sentence), {passing: true})

const listen = (url, signal, wait) =>
    new Promise((done, fail) => {
        const stream = new EventSource(url),
            timer = wait && setInterval(placeTeller(url, signal, wait), 1000)
        const close = () => [stream.close(), clearInterval(timer)]
        signal.addEventListener("abort", close)
        stream.addEventListener("complete", e => done(JSON.parse(e.data), close()))
        stream.addEventListener("error", e => {
            const sentence = e.data && JSON.parse(e.data)?.error
            fail(sentence ? Error(sentence) : e.data ? passing(STOPPED) : new TypeError("no connection"), close())
        })
    })
