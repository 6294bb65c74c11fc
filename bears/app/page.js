() => {
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
}
