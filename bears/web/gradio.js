// Undo what Gradio does to a page of its own, and leave somebody else's page as it is.

const page = document.documentElement
if (embed) {
    embed.lang = "en"
    // Gradio has given the page the browser's language by now; only the page's source still tells its own.
    fetch(location.href, {cache: "force-cache"})
        .then(sent => sent.text())
        .then(html => (page.lang = new DOMParser().parseFromString(html, "text/html").documentElement.lang))
        .catch(() => null)
    // The links of this app are relative to it.
    const resolve = ({target}) => {
        const link = target.closest("#about a")
        if (link) link.href = new URL(link.getAttribute("href"), home).href
    }
    for (const event of ["click", "auxclick"]) embed.addEventListener(event, resolve, true)
} else {
    // A ?view=api link opens nothing in Gradio 6.31 until its own button is switched off and on.
    if (location.search.includes("view=api")) [1, 2].forEach(() => document.querySelector(".show-api")?.click())
    page.lang = "en" // whatever the browser prefers: Gradio changes it, the page's words do not
    new MutationObserver(() => page.lang == "en" || (page.lang = "en")).observe(page, {attributeFilter: ["lang"]})
    document.querySelector("#first")?.remove()
}
