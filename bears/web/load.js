// The text that Gradio runs as a function for each gr.HTML of ours: it opens a tab with the modules of the app. `element`
// is the tab's, `props` is what theme.py and app.py give to gr.HTML.

const BROKEN = "This page could not start. Please check your connection, and reload it."

// The element by which a page of somebody else's shows this app, or null: the modules are the app's, not that page's.
const embed = element.closest("gradio-app[src], gradio-app[space]")
const space = embed
    ?.getAttribute("space")
    ?.replace(/[^a-z0-9]+/gi, "-")
    .toLowerCase()
const home = new URL(embed?.getAttribute("src") ?? (space ? `https://${space}.hf.space` : ""), document.baseURI)
if (embed) home.pathname = home.pathname.replace(/\/?$/, "/")
import(new URL(props.module, home)).then(
    ({openTab}) => openTab(element, props, embed),
    () => (element.querySelector("p[role=status]").textContent = BROKEN),
)
