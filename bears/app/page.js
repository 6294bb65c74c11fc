// The page: one photo comes in, whichever way, and one answer goes out.
// `ask` and `served` are those of api.js, or of pocket.js where there is no server. `element` is what page.html
// has made, `props.examples` are [path, name] of photos that `served` has the addresses of.

const SHOWN = 5 // classes

const find = name => element.querySelector(name)
const photo = find(".yours"),
    video = find("video"),
    input = find("input"),
    verdict = find(".verdict")
const touch = matchMedia("(pointer: coarse)").matches
let asking = new AbortController()

const show = state => {
    element.dataset.state = state
    for (const track of state != "camera" && video.srcObject ? video.srcObject.getTracks() : []) track.stop()
    video.hidden = state != "camera"
    find(".another").textContent = state == "camera" ? "Cancel" : "Another photo"
    const none = !photo.getAttribute("src")
    photo.hidden = none || ["empty", "camera"].includes(state)
    if (none) element.dataset.unseen = ""
}

const say = (state, sentence) => {
    verdict.textContent = sentence
    show(state)
    if (sentence) verdict.scrollIntoView({block: "nearest"})
}

// Look at one file, and stop looking at any other.
const give = async file => {
    asking.abort()
    asking = new AbortController()
    const {signal} = asking
    URL.revokeObjectURL(photo.src)
    delete element.dataset.unseen
    photo.src = URL.createObjectURL(file)
    find(".map").open = false
    say("looking", "Looking…")
    find(".frame").scrollIntoView({block: "nearest"})
    const wait = why => signal.aborted || (verdict.textContent = why || "Looking…") // only pocket.js says why
    try {
        const answer = await ask("predict", file, signal, wait)
        if (!signal.aborted) tell(...answer)
    } catch (error) {
        if (!signal.aborted) say("refused", error instanceof TypeError ? OFFLINE : error.message)
    }
}
photo.addEventListener("error", () => (element.dataset.unseen = ""))

const tell = (probs, sentence, map) => {
    const kind = sentence.endsWith(" sure") ? "sure" : sentence.startsWith("Not sure:") ? "unsure" : "none"
    const rows = probs.confidences.map(({label, confidence}, i) => {
        const row = document.createElement("li"),
            [name, bar, percent] = ["span", "div", "span"].map(tag => row.appendChild(document.createElement(tag)))
        row.classList.toggle("more", i >= SHOWN)
        name.textContent = label
        bar.style.setProperty("--prob", confidence)
        percent.textContent = confidence < 0.01 ? "under 1%" : `${Math.min(99, Math.floor(100 * confidence))}%`
        return row
    })
    find(".probs").replaceChildren(...rows)
    find(".all").textContent = `Show all ${rows.length}`
    element.dataset.many = rows.length > SHOWN ? "folded" : ""
    find(".map").hidden = !map || kind == "none" // nothing spoke for an answer that is none of them
    if (map) find(".map img").src = served(map.path)
    element.dataset.kind = kind
    say("answered", sentence)
}
find(".all").addEventListener("click", () => (element.dataset.many = ""))

const restart = () => {
    asking.abort()
    URL.revokeObjectURL(photo.src)
    photo.removeAttribute("src")
    say("empty", "")
    find(".frame").scrollIntoView({block: "nearest"})
    find(".choose").focus()
}
find(".another").addEventListener("click", restart)

// Every way in. The browser's own camera is better than a page's, where there is one.
find(".choose").addEventListener("click", () => {
    input.removeAttribute("capture")
    input.click()
})
find(".take").addEventListener("click", async () => {
    if (touch) {
        input.setAttribute("capture", "environment")
        return input.click()
    }
    try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}})
        say("camera", "")
    } catch {
        say("refused", "The camera cannot be used here. Please choose a photo.")
    }
})
find(".take").hidden = !touch && !navigator.mediaDevices
find(".shoot").addEventListener("click", async () => {
    const {videoWidth, videoHeight} = video
    if (videoWidth) give(await asJpeg(video, videoWidth, videoHeight, 0.95)) // else its first picture is still to come
})
input.addEventListener("change", () => {
    if (input.files[0]) give(input.files[0])
    input.value = "" // or the same file once more is no change
})
const take = (e, transfer) => {
    if (!transfer || (e.type == "paste" && !transfer.files.length)) return
    e.preventDefault()
    delete element.dataset.dragged
    if (!element.checkVisibility()) return // another tab is open
    if (transfer.files.length) give(transfer.files[0])
    else say("refused", "This is a link. Please save the photo itself, and drop that.")
}
addEventListener("paste", e => take(e, e.clipboardData), true)
addEventListener("drop", e => take(e, e.dataTransfer), true)
addEventListener(
    "dragover",
    e => {
        e.preventDefault() // or a drop would open the file instead of this page
        element.dataset.dragged = ""
    },
    true,
)
addEventListener(
    "dragleave",
    e => {
        if (!e.relatedTarget) delete element.dataset.dragged
    },
    true,
)

for (const [path, name] of props.examples) {
    const button = document.createElement("button"),
        image = button.appendChild(document.createElement("img"))
    button.ariaLabel = `Example: ${name}`
    image.src = served(path)
    image.alt = ""
    button.addEventListener("click", async () => {
        const file = await fetch(image.src)
            .then(sent => sent.blob())
            .catch(() => null)
        if (file) give(file)
        else say("refused", OFFLINE)
    })
    find(".examples").append(button)
}
find(".examples").hidden = !props.examples.length
show("empty")
