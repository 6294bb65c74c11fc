// Answer on this device if the server is slow or can't be reached. The offline version of the app does so, in a hidden
// frame of the page: at once if this browser has saved it, and otherwise after the visitor has pressed a button.

import {home, savedOffline} from "./server.js"
import {isUnreachable, make, pause} from "./tab.js"

const PATIENCE = 2 // seconds to wait for the server
const START = 30 // seconds to wait for the hidden frame
const NOTE = "Answered on this device."
const ADDRESS = new URL("offline/", home)

// Return a copy of the back end `server` that asks the offline version, too, if the server doesn't answer in time.
// `element` is the Photo tab's element, and `megabytes` is the size of the offline version.
export const withDevice = (element, megabytes, server) => {
    const button = make("button", {className: "here", textContent: `Answer on this device (${megabytes} MB)`})
    element.querySelector(".note").after(button)
    const predict = async (file, signal, wait) => {
        const asking = new AbortController()
        let loading = false
        const tell = (...told) => loading || wait?.(...told) // while the model is loading, this device has more to tell
        const answer = server.predict(file, AbortSignal.any([signal, asking.signal]), wait && tell)
        button.hidden = true
        const problem = await Promise.race([answer.then(() => ""), pause(PATIENCE).then(() => "slow")]).catch(
            error => (isUnreachable(error) || error.passing) && "failed",
        )
        const isSaved = await savedOffline()
        if (problem === "" && isSaved) close()
        const canLoad = problem == "slow" && home.origin == location.origin
        if (!problem || signal.aborted || !(isSaved || canLoad)) return answer
        const here = async () => {
            if (!isSaved) {
                await press(button, answer)
                button.hidden = true
                element.querySelector(".choose").focus({preventScroll: true})
            }
            loading = true
            wait?.()
            return askHere(file, signal, wait).finally(() => (loading = false))
        }
        const first = await Promise.any([answer, here()]).catch(() => answer)
        signal.throwIfAborted()
        asking.abort()
        return first
    }
    return {...server, predict}
}

// Show a button until it is pressed. Rejects if the server refuses the photo first.
const press = (button, answer) =>
    new Promise((done, fail) => {
        button.hidden = false
        button.onclick = done
        answer.catch(fail)
    })

let frame = null
let offline = null // a Promise of the back end in the frame

const askHere = async (...question) => {
    offline ??= openFrame()
    try {
        const {predict} = await offline
        return {...(await predict(...question)), note: NOTE}
    } catch (error) {
        close()
        throw error
    }
}

const openFrame = async () => {
    frame = make("iframe", {src: ADDRESS, title: "Offline version"})
    frame.style.display = "none"
    document.body.append(frame)
    await Promise.race([new Promise(done => frame.addEventListener("load", done)), pause(START)])
    const {backend, navigator} = frame.contentDocument ? frame.contentWindow : {} // null if the browser shows its own error
    if (!backend) throw Error("The offline version does not start.")
    navigator.serviceWorker?.ready.then(() => document.dispatchEvent(new Event("saved"))) // for gradio.js
    return backend
}

// Free the frame's memory. While the frame is open, the offline version can't be updated, either.
const close = () => {
    frame?.remove()
    frame = offline = null
}
