// Start the offline version: open the app's two tabs with a web worker as their back end, store the page for use without
// a network, and offer to install it.

import {CameraTab} from "../camera.js"
import {PhotoTab} from "../page.js"
import * as backend from "./backend.js"
import {listeners, ready} from "./model.js"
import "./tabs.js"

const tabOf = panel => document.querySelector(`${panel} > div`)
new PhotoTab(tabOf("#page"), window.props.page, backend)
new CameraTab(tabOf("#camera"), window.props.camera, backend)
window.backend = backend // for the app, which can open this page in a hidden frame (device.js)

const SAVING = "Saving for offline…"
const READY = "Ready for the woods. Works offline now."

const here = document.querySelector("#here")
const status = here.querySelector("[role=status]")
const progress = here.querySelector("progress")
const install = here.querySelector("button")

listeners.add((sentence = "", done) => {
    status.textContent = sentence
    progress.hidden = !sentence
    progress.value = done ?? 1
})
ready.catch(error => (status.textContent = error.message))

here.querySelector(".hint").hidden = navigator.standalone !== false // only iPhones and iPads have this property

// Return a promise that rejects if a service worker can't be installed, for example because the disk is full.
const failure = worker =>
    new Promise((_, fail) =>
        worker?.addEventListener("statechange", () => worker.state == "redundant" && fail(Error("It is not saved."))),
    )

const keep = async () => {
    const workers = navigator.serviceWorker
    if (!workers) return // not allowed in this frame, or without https
    await ready // load the model first
    if (!(await workers.getRegistration())?.active) status.textContent = SAVING
    const {installing} = await workers.register("sw.js", {updateViaCache: "none"})
    await Promise.race([workers.ready, failure(installing)])
    status.textContent = READY
    here.dataset.ready = ""
}
keep().catch(() => {
    if (status.textContent == SAVING) status.textContent = "" // the page still works with a network
})

addEventListener("beforeinstallprompt", event => {
    event.preventDefault()
    install.hidden = false
    install.onclick = async () => {
        install.hidden = true
        await event.prompt()
    }
})
addEventListener("appinstalled", () => {
    install.hidden = true
    navigator.storage?.persist?.() // or the browser may delete the saved files when the device is full
})
