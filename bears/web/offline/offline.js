// The offline version: the app's two tabs with a worker as their back end. This keeps the page for when there is no network,
// and offers to install it.

import {CameraTab} from "../camera.js"
import {PhotoTab} from "../page.js"
import * as backend from "./backend.js"
import {listeners, ready} from "./model.js"
import "./tabs.js"

const tabOf = panel => document.querySelector(`${panel} > div`)
new PhotoTab(tabOf("#page"), window.props.page, backend)
new CameraTab(tabOf("#camera"), window.props.camera, backend)

const READY = "Ready for the woods. Works offline now."

const here = document.querySelector("#here")
const status = here.querySelector("[role=status]")
const install = here.querySelector("button")

listeners.add(sentence => (status.textContent = sentence))
ready.catch(error => (status.textContent = error.message))

here.querySelector(".hint").hidden = navigator.standalone !== false // which only iPhones and iPads have

const keep = async () => {
    const workers = navigator.serviceWorker
    if (!workers) return // as in a frame of a page that may keep nothing, or without https
    await ready // what the model needs comes first
    await workers.register("sw.js", {updateViaCache: "none"})
    await workers.ready
    status.textContent = READY
}
keep().catch(() => {}) // it works all the same, as long as there is a network

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
})
