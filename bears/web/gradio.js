// The page of app.py: both tabs in Gradio's frame, with the server as their back end. It undoes what Gradio does to a page
// of its own, and leaves a page of somebody else's as it is.

import {CameraTab} from "./camera.js"
import {withFeedback} from "./feedback.js"
import {PhotoTab} from "./page.js"
import * as server from "./server.js"

const page = document.documentElement

// `embed` is the element by which a page of somebody else's shows this app, or null.
export const openTab = (element, props, embed) => {
    if (props.tab == "camera") return new CameraTab(element, props, server)
    if (embed) leaveAlone(embed)
    else makeOurs()
    const backend = props.feedback ? withFeedback(element, props.feedback, server) : server
    return new PhotoTab(element, props, backend, embed ?? window)
}

const leaveAlone = embed => {
    embed.lang = "en"
    // Gradio has given the page the browser's language by now; only the page's source still tells its own.
    fetch(location.href, {cache: "force-cache"})
        .then(sent => sent.text())
        .then(html => (page.lang = new DOMParser().parseFromString(html, "text/html").documentElement.lang))
        .catch(() => null)
    // The links of this app are relative to it.
    const resolve = ({target}) => {
        const link = target.closest("#about a")
        if (link) link.href = new URL(link.getAttribute("href"), server.home).href
    }
    for (const event of ["click", "auxclick"]) embed.addEventListener(event, resolve, true)
}

const makeOurs = () => {
    // A ?view=api link opens nothing in Gradio 6.31 until its own button is switched off and on.
    if (location.search.includes("view=api")) [1, 2].forEach(() => document.querySelector(".show-api")?.click())
    page.lang = "en" // whatever the browser prefers: Gradio changes it, the page's words do not
    new MutationObserver(() => page.lang == "en" || (page.lang = "en")).observe(page, {attributeFilter: ["lang"]})
    document.querySelector("#first")?.remove()
}
