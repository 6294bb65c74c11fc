// Answer on this device if the server is slow or can't be reached. The offline version of the app does so, in a hidden
// frame of the page: by itself if this browser has saved it, and otherwise after the visitor has pressed a button.
//
// If it is saved, the device and the server are asked at once. The device's answer counts if it is first and sure, since
// the server's would almost always be the same. Otherwise the server has a second to answer, since only the server has a
// detector, which finds small animals.

import {SURE} from "./answer.js"
import {home, savedOffline} from "./server.js"
import {isUnreachable, make, pause} from "./tab.js"

const PATIENCE = 2 // seconds to wait for the server
const PATIENCE_IF_SAVED = 1 // seconds, too
const START = 30 // seconds to wait for the hidden frame
const NOTE = "Answered on this device."
const FAILED = "This device can't answer. Still waiting for the server."

// Return a copy of the back end `server` that asks the offline version, too, if the server doesn't answer in time.
// `element` is the Photo tab's element, and `megabytes` is the size of the offline version.
export const withDevice = (element, megabytes, server) => {
    const place = make("div", {className: "here", ariaLive: "polite"}) // for the button, or for FAILED
    element.querySelector(".note").after(place)
    const predict = async (file, signal, wait) => {
        const asking = new AbortController()
        let loading = false
        const tell = (...told) => loading || wait?.(...told) // while the model is loading, show its progress instead
        const answer = server.predict(file, AbortSignal.any([signal, asking.signal]), wait && tell)
        answer.catch(() => {}) // it is awaited below
        const isSaved = await savedOffline()
        const show = (...told) => loading && wait?.(...told)
        const ahead = (isSaved || offline) && !isQuick ? askHere(file, signal, show) : null
        const late = pause(ahead || isSaved ? PATIENCE_IF_SAVED : PATIENCE).then(() => "slow")
        const early = ahead?.then(({certainty}) => (certainty == SURE ? "slow" : late)).catch(() => late)
        const problem = await Promise.race([answer.then(() => ""), early ?? late]).catch(
            error => (isUnreachable(error) || error.passing) && "failed",
        )
        isQuick = problem === ""
        if (isQuick && isSaved) close()
        const canLoad = problem == "slow" && home.origin == self.origin
        if (!problem || signal.aborted || !(isSaved || offline || canLoad)) return answer
        signal.addEventListener("abort", () => place.replaceChildren())
        const here = async () => {
            if (!isSaved && !offline) {
                await press(place, `Answer on this device (${megabytes} MB)`, answer)
                element.querySelector(".choose").focus({preventScroll: true})
            }
            loading = true
            wait?.()
            return (ahead ?? askHere(file, signal, show)).finally(() => (loading = false))
        }
        const tried = here().catch(error => {
            if (!signal.aborted) place.textContent = FAILED
            throw error
        })
        const first = await Promise.any([answer, tried]).catch(() => answer)
        signal.throwIfAborted()
        asking.abort()
        return first
    }
    return {...server, predict}
}

// Show a button in `place` until it is pressed. Rejects if the server fails first.
const press = (place, textContent, answer) =>
    new Promise((done, fail) => {
        place.replaceChildren(make("button", {textContent, onclick: done}))
        answer.catch(fail)
    }).finally(() => place.replaceChildren())

let isQuick = false // whether the server's last answer was in time
let frame = null
let offline = null // a Promise of the back end in the frame

const askHere = async (file, signal, wait) => {
    const mine = (offline ??= openFrame())
    try {
        const {predict} = await mine
        return {...(await predict(file, signal, wait)), note: NOTE}
    } catch (error) {
        if (offline == mine && !signal.aborted) close()
        throw error
    }
}

const openFrame = async () => {
    const mine = (frame = make("iframe", {src: new URL("offline/", home), title: "Offline version"}))
    mine.style.display = "none"
    document.body.append(mine)
    await Promise.race([new Promise(done => mine.addEventListener("load", done)), pause(START)])
    const {backend, navigator} = mine.contentDocument ? mine.contentWindow : {} // null if the browser shows its own error
    if (!backend) throw Error("The offline version does not start.")
    navigator.serviceWorker?.ready.then(() => document.dispatchEvent(new Event("saved"))) // for gradio.js
    return backend
}

// Free the frame's memory. While the frame is open, the offline version can't be updated, either.
const close = () => {
    frame?.remove()
    frame = offline = null
}
