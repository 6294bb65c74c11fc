// Load the app's modules and open a tab. Gradio runs this text as a function for each gr.HTML of the app. `element` is
// the tab's element, and `props` are the arguments of gr.HTML.

const BROKEN = "This page could not start. Please check your connection, and reload it."

// The element with which another website's page shows the app, or null. The modules are loaded from the app's address.
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
