// Answer on this device if the server can't be reached or is slow, and this browser has saved the offline version. The
// offline version runs in a hidden frame of the page.

import {savedOffline} from "./server.js"
import {isUnreachable, make, pause} from "./tab.js"

const PATIENCE = 2 // seconds to wait for the server
const NOTE = "Answered on this device."

// Return a copy of the back end `server` that asks the offline version, too, if the server doesn't answer in time.
export const withDevice = server => ({
    ...server,
    predict: async (file, signal, wait) => {
        const asking = new AbortController()
        signal.addEventListener("abort", () => asking.abort(), {once: true})
        const answer = server.predict(file, asking.signal, wait)
        const isLate = await Promise.race([answer.then(() => false), pause(PATIENCE).then(() => true)]).catch(
            error => isUnreachable(error) || error.passing,
        )
        if (!isLate || signal.aborted) return answer
        const here = askHere(file).catch(() => answer)
        const answered = await Promise.race([here, answer.catch(() => here)])
        asking.abort()
        return answered
    },
})

let offline = null // a Promise of the back end of the offline version

const askHere = async file => {
    offline ??= openFrame(await savedOffline())
    const {predict} = await offline.catch(error => {
        offline = null
        throw error
    })
    return {...(await predict(file)), note: NOTE}
}

// Open the offline version in a hidden frame, and return its back end. Rejects if `src` is null.
const openFrame = src =>
    new Promise((done, fail) => {
        if (!src) return fail(Error("The offline version is not saved."))
        const frame = make("iframe", {src, title: "Offline version"})
        frame.style.display = "none"
        frame.addEventListener("load", () => {
            const {backend} = frame.contentDocument ? frame.contentWindow : {} // null if the browser shows its own error
            if (backend) return done(backend)
            frame.remove()
            fail(Error("The offline version does not start."))
        })
        document.body.append(frame)
    })
