// What Gradio does to a page, undone.

// A ?view=api link opens nothing in Gradio 6.31 until its own button is switched off and on.
if (location.search.includes("view=api")) [1, 2].forEach(() => document.querySelector(".show-api")?.click())
document.documentElement.lang = "en" // whatever the browser prefers: Gradio changes it, the page's words do not
new MutationObserver(() => document.documentElement.lang == "en" || (document.documentElement.lang = "en")).observe(
    document.documentElement,
    {attributeFilter: ["lang"]},
)
document.querySelector("#first")?.remove()
