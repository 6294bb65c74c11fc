// Answer on this device if the server can't be reached or is slow, and this browser has saved the offline version. The
// offline version runs in a hidden frame of the page.

import {savedOffline} from "./server.js"
import {isUnreachable, make, pause} from "./tab.js"

const PATIENCE = 2 // seconds to wait for the server
const START = 30 // seconds to wait for the hidden frame
const NOTE = "Answered on this device."

// Return a copy of the back end `server` that asks the offline version, too, if the server doesn't answer in time.
export const withDevice = server => ({
    ...server,
    predict: async (file, signal, wait) => {
        const asking = new AbortController()
        const answer = server.predict(file, AbortSignal.any([signal, asking.signal]), wait)
        const isLate = await Promise.race([answer.then(() => false), pause(PATIENCE).then(() => true)]).catch(
            error => isUnreachable(error) || error.passing,
        )
        if (isLate === false) close()
        if (!isLate || signal.aborted) return answer
        const first = await Promise.any([answer, askHere(file)]).catch(() => answer)
        signal.throwIfAborted()
        asking.abort()
        return first
    },
})

let frame = null
let offline = null // a Promise of the back end in the frame

const askHere = async file => {
    offline ??= savedOffline().then(openFrame)
    try {
        const {predict} = await offline
        return {...(await predict(file)), note: NOTE}
    } catch (error) {
        close()
        throw error
    }
}

const openFrame = async src => {
    if (!src) throw Error("The offline version is not saved.")
    frame = make("iframe", {src, title: "Offline version"})
    frame.style.display = "none"
    document.body.append(frame)
    await Promise.race([new Promise(done => frame.addEventListener("load", done)), pause(START)])
    const {backend} = frame.contentDocument ? frame.contentWindow : {} // null if the browser shows its own error
    if (!backend) throw Error("The offline version does not start.")
    return backend
}

// Free the frame's memory. While the frame is open, the offline version can't be updated, either.
const close = () => {
    frame?.remove()
    frame = offline = null
}
