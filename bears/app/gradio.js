// Undo what Gradio does to a page of its own, and leave somebody else's page as it is.

const speaks = embed ?? document.documentElement
speaks.lang = "en" // whatever the browser prefers: Gradio changes it, the words stay
if (embed) {
    // The links of this app are relative to it.
    const resolve = ({target}) => {
        const link = target.closest("#about a")
        if (link) link.href = new URL(link.getAttribute("href"), home).href
    }
    for (const event of ["click", "auxclick"]) embed.addEventListener(event, resolve, true)
} else {
    // A ?view=api link opens nothing in Gradio 6.31 until its own button is switched off and on.
    if (location.search.includes("view=api")) [1, 2].forEach(() => document.querySelector(".show-api")?.click())
    const page = document.documentElement
    new MutationObserver(() => page.lang == "en" || (page.lang = "en")).observe(page, {attributeFilter: ["lang"]})
    document.querySelector("#first")?.remove()
}
