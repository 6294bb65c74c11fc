// The page: one photo comes in, whichever way, and one answer goes out.
// `ask`, `served` and `embed` are those of server.js, or of offline.js where there is no server. `element` is what page.html
// has made, `props.examples` are [path, name] of photos that `served` has the addresses of.

const SHOWN = 5 // classes

const find = name => element.querySelector(name)
const photo = find(".yours"),
    video = find("video"),
    input = find("input"),
    verdict = find(".verdict")
const ground = embed ?? window // where photos are dropped
const touch = matchMedia("(pointer: coarse)").matches
let asking = new AbortController()

const show = state => {
    const held = element.contains(document.activeElement)
    element.dataset.state = state
    for (const track of state != "camera" && video.srcObject ? video.srcObject.getTracks() : []) track.stop()
    video.hidden = state != "camera"
    find(".another").textContent = state == "camera" ? "Cancel" : "Another photo"
    const none = !photo.getAttribute("src")
    photo.hidden = none || ["empty", "camera"].includes(state)
    if (none) element.dataset.unseen = ""
    if (held) keepFocus()
}

// Focus another button when the one that had it is hidden: it would fall to the top of the page.
const keepFocus = () => {
    if (document.activeElement.checkVisibility()) return
    const buttons = [".again", ".shoot", ".choose", ".another"].map(find)
    buttons.find(button => button.checkVisibility())?.focus({preventScroll: true})
}

const say = (state, sentence) => {
    verdict.textContent = sentence
    show(state)
    if (sentence) verdict.scrollIntoView({block: "nearest"})
}

// `again` says whether the same photo may be answered another time.
const refuse = (sentence, again = false) => {
    find(".again").hidden = !again
    say("refused", sentence)
}

const forget = () => {
    URL.revokeObjectURL(photo.src)
    photo.removeAttribute("src")
}

// Look at one file, or at the photo that has an `address`, and stop looking at any other.
const give = async (file, address) => {
    asking.abort()
    asking = new AbortController()
    const {signal} = asking
    forget()
    delete element.dataset.unseen
    photo.src = address ?? URL.createObjectURL(file)
    find(".again").onclick = () => give(file, address)
    find(".map").open = false
    say("looking", "Looking…")
    find(".frame").scrollIntoView({block: "nearest"})
    const wait = why => signal.aborted || (verdict.textContent = why || "Looking…")
    try {
        const answer = await ask("predict", file ?? (await load(address, signal)), signal, wait)
        if (!signal.aborted) tell(...answer)
    } catch (error) {
        if (!signal.aborted) fail(error)
    }
}

// The file at an address; a TypeError where there is none, as `fetch` throws one without a network.
const load = async (address, signal) => {
    const sent = await fetch(address, {signal})
    if (!sent.ok) throw new TypeError(`status ${sent.status}`)
    return sent.blob()
}

const fail = error => {
    const again = error instanceof TypeError || Boolean(error.passing)
    if (!again) forget() // a browser shows what it can of a damaged photo
    refuse(error instanceof TypeError ? OFFLINE : error.message, again)
}
photo.addEventListener("error", () => (element.dataset.unseen = ""))

const tell = (probs, sentence, map, certainty) => {
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
    find(".map").hidden = !map || certainty == "none" // nothing spoke for an answer that is none of them
    if (map) find(".map img").src = served(map.path)
    element.dataset.kind = certainty
    say("answered", sentence)
}
find(".all").addEventListener("click", () => {
    element.dataset.many = ""
    keepFocus()
})

const restart = () => {
    asking.abort()
    forget()
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
        refuse("The camera cannot be used here. Please choose a photo.")
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
    else refuse("This is a link. Please save the photo itself, and drop that.")
}
ground.addEventListener("paste", e => take(e, e.clipboardData), true)
ground.addEventListener("drop", e => take(e, e.dataTransfer), true)
ground.addEventListener(
    "dragover",
    e => {
        e.preventDefault() // or a drop would open the file instead of this page
        element.dataset.dragged = ""
    },
    true,
)
ground.addEventListener(
    "dragleave",
    e => {
        if (!e.relatedTarget) delete element.dataset.dragged
    },
    true,
)

for (const [path, name] of props.examples) {
    const button = document.createElement("button"),
        caption = button.appendChild(document.createElement("span")),
        image = button.appendChild(document.createElement("img"))
    button.ariaLabel = `Example: ${name}`
    caption.textContent = name // until the picture is there
    image.crossOrigin = "anonymous" // so that a page of somebody else's may fetch it, too
    image.src = served(path)
    image.alt = ""
    image.addEventListener("load", () => caption.remove())
    button.addEventListener("click", () => give(null, image.src))
    find(".examples").append(button)
}
find(".examples").hidden = !props.examples.length
show("empty")
