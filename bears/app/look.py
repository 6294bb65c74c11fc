"""The look of the pages: Gradio's Soft theme, with enough contrast for most eyes (WCAG 2.2, level AA)."""

import gradio as gr

THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    body_background_fill="*neutral_100",
    button_primary_background_fill="*primary_700",
    checkbox_label_background_fill_selected="*primary_700",
    color_accent="*primary_700",
    block_label_text_color="*primary_800",
    block_title_text_color="*primary_800",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_300",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
)

# Of app.py.
CSS = """
.gradio-container {width: 100% !important; max-width: 60rem !important; margin: 0 auto !important}
.dark {--color-accent: var(--primary-300)}
#verdict {min-height: 2.5rem}
#verdict:has(.error) .prose, #verdict .clear-status {visibility: hidden}  /* the last verdict was on another photo */
#verdict p {font-size: 2rem; font-weight: 700; line-height: 1.25; margin: 0}
#about {font-size: 0.9rem}
#about h2 {font-size: 1.1rem}
@media (max-width: 40rem) {  /* the verdict comes before the examples, so that nobody has to scroll for it */
  #page {flex-direction: column}
  #question, #answer {display: contents}
  #examples {order: 1}
  .gallery-item {width: 22%}
}
"""
JS = """() => {
    // What Gradio leaves without a name for screen readers.
    const name = () => {
        document.querySelectorAll('[aria-label="Empty value"]').forEach(e => e.role = "img")
        document.querySelectorAll(".gallery-item").forEach(e =>
            e.ariaLabel = "Example: " + e.querySelector("img")?.src.split("/").pop().split(".")[0])
    }
    name()
    new MutationObserver(name).observe(document.body, {childList: true, subtree: true})
    // A browser may not know what kind of file IMG_0001.HEIC is. Gradio would refuse it; app.py opens it and sees.
    const unknown = files => [...files ?? []].some(f => !f.type)
    const asImages = files => {
        const images = new DataTransfer()
        for (const f of files) images.items.add(f.type ? f : new File([f], f.name, {type: "image/unknown"}))
        return images
    }
    document.addEventListener("change", e => {
        if (unknown(e.target.files)) e.target.files = asImages(e.target.files).files
    }, true)
    document.addEventListener("drop", e => {
        if (!unknown(e.dataTransfer?.files)) return
        e.stopImmediatePropagation()
        e.preventDefault()
        const dataTransfer = asImages(e.dataTransfer.files)
        e.target.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer}))
    }, true)
    // A ?view=api link opens nothing in Gradio 6.31 until its own button is switched off and on.
    const api = document.querySelector(".show-api")
    if (location.search.includes("view=api")) [1, 2].forEach(() => api?.click())
}"""
