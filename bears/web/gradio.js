// Open the two tabs in Gradio's page, with the server as their back end. On the app's own page, undo some of Gradio's
// changes. On another website's page that shows the app, leave the page as it is.

import {CameraTab} from "./camera.js"
import {withDevice} from "./device.js"
import {withFeedback} from "./feedback.js"
import {PhotoTab} from "./page.js"
import * as server from "./server.js"
import {pause} from "./tab.js"

const page = document.documentElement

// `embed` is the element with which another website's page shows the app, or null.
export const openTab = (element, props, embed) => {
    if (props.tab == "camera") return new CameraTab(element, props, server)
    if (embed) leaveAlone(embed)
    else makeOurs()
    const mark = () => markSaved(props.device).catch(() => null) // fails without https, and in some frames
    mark()
    // The offline version may be saved in another tab, or in this page's hidden frame.
    for (const event of ["visibilitychange", "saved"]) document.addEventListener(event, mark)
    for (const event of ["online", "offline"]) addEventListener(event, showLink)
    const both = props.device ? withDevice(element, props.device, server) : server
    const backend = props.feedback ? withFeedback(element, props.feedback, both) : both
    return new PhotoTab(element, props, backend, embed ?? window)
}

// If this browser has saved the offline version, say so in the link at the top. If the offline version may answer instead
// of the server, also let the app's own address open the offline version without a network. A page in another page's frame
// does neither, since its links open outside of the frame, where browsers keep other files.
const markSaved = async mayAnswer => {
    if (window.top != window) return
    const workers = navigator.serviceWorker
    const worker = await workers.getRegistration(server.home)
    if (!mayAnswer && worker?.scope == server.home.href) await worker.unregister()
    if (!(await server.savedOffline())) return
    if (mayAnswer) await workers.register(new URL("home.js", import.meta.url), {scope: server.home}).catch(() => null)
    const link = await findLink()
    if (link) link.textContent = "✓ Saved for offline"
}

// Return the link to the offline version, or null if there is none.
const findLink = async () => {
    for (let tries = 0; tries < 20; tries++) {
        const link = document.querySelector('#title a[href$="offline/"]')
        if (link) return link
        await pause(0.5) // Gradio may draw the tabs before the title
    }
    return null
}

// Without a network, show the link to the offline version only if this browser has saved it.
const showLink = async () => {
    const isSaved = await server.savedOffline()
    const link = await findLink()
    if (link) link.style.visibility = navigator.onLine || isSaved ? "" : "hidden"
}

const leaveAlone = embed => {
    embed.lang = "en"
    // Gradio has changed the page's language to the browser's language. Read the right language from the page's source.
    fetch(location.href, {cache: "force-cache"})
        .then(sent => sent.text())
        .then(html => (page.lang = new DOMParser().parseFromString(html, "text/html").documentElement.lang))
        .catch(() => null)
    // The app's links are relative to the app, not to this page.
    const resolve = ({target}) => {
        const link = target.closest(":is(#about, #title) a")
        if (link) link.href = new URL(link.getAttribute("href"), server.home).href
    }
    for (const event of ["click", "auxclick"]) embed.addEventListener(event, resolve, true)
}

const makeOurs = () => {
    // In Gradio 6.31, a ?view=api link only works after two clicks on Gradio's button.
    if (location.search.includes("view=api")) [1, 2].forEach(() => document.querySelector(".show-api")?.click())
    page.lang = "en" // Gradio sets the browser's language, but the app's words are English
    new MutationObserver(() => page.lang == "en" || (page.lang = "en")).observe(page, {attributeFilter: ["lang"]})
    document.querySelector("#first")?.remove()
}
