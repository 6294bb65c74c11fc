// The photo tab: one photo comes in, whichever way, and one answer goes out. Its `element` is what page.html has made.

import {NONE, percent} from "./answer.js"
import {asJpeg, showBlob, startCamera, stopCamera} from "./pictures.js"
import {Tab} from "./tab.js"

const SHOWN = 5 // classes
const LOOKING = "Looking…"

export class PhotoTab extends Tab {
    asking = new AbortController()
    touch = matchMedia("(pointer: coarse)").matches

    // `examples` are [path, name] of photos that the back end has the addresses of. Photos may be dropped on `ground`.
    constructor(element, {examples}, backend, ground = window) {
        super(element, {examples}, backend)
        this.photo = this.find(".yours")
        this.video = this.find("video")
        this.input = this.find("input")
        this.verdict = this.find(".verdict")
        this.photo.addEventListener("error", () => (element.dataset.unseen = ""))
        this.listenToButtons()
        this.listenToDrops(ground)
        this.offerExamples()
        this.show("empty")
    }

    show(state) {
        const held = this.element.contains(document.activeElement)
        this.element.dataset.state = state
        if (state != "camera") stopCamera(this.video)
        this.video.hidden = state != "camera"
        this.find(".another").textContent = state == "camera" ? "Cancel" : "Another photo"
        const none = !this.photo.getAttribute("src")
        this.photo.hidden = none || ["empty", "camera"].includes(state)
        if (none) this.element.dataset.unseen = ""
        if (held) this.keepFocus()
    }

    // Focus another button when the one that had it is hidden: it would fall to the top of the page.
    keepFocus() {
        if (document.activeElement.checkVisibility()) return
        const buttons = [".again", ".shoot", ".choose", ".another"].map(name => this.find(name))
        buttons.find(button => button.checkVisibility())?.focus({preventScroll: true})
    }

    say(state, sentence) {
        this.verdict.textContent = sentence
        this.show(state)
        if (sentence) this.verdict.scrollIntoView({block: "nearest"})
    }

    // `again` says whether the same photo may be answered another time.
    refuse(sentence, again = false) {
        this.find(".again").hidden = !again
        this.say("refused", sentence)
    }

    // Look at one file, or at the photo that has an `address`, and stop looking at any other.
    async give(file, address) {
        this.asking.abort()
        this.asking = new AbortController()
        const {signal} = this.asking
        showBlob(this.photo, file)
        delete this.element.dataset.unseen
        if (address) this.photo.src = address
        this.find(".again").onclick = () => this.give(file, address)
        this.find(".map").open = false
        this.say("looking", LOOKING)
        this.find(".frame").scrollIntoView({block: "nearest"})
        const wait = why => signal.aborted || (this.verdict.textContent = why || LOOKING)
        try {
            const answer = await this.backend.predict(file ?? (await load(address, signal)), signal, wait)
            if (!signal.aborted) this.tell(answer)
        } catch (error) {
            if (!signal.aborted) this.fail(error)
        }
    }

    fail(error) {
        const again = error instanceof TypeError || Boolean(error.passing)
        if (!again) showBlob(this.photo) // a browser shows what it can of a damaged photo
        this.refuse(this.explain(error), again)
    }

    // Show an answer: `rows` are [label, probability] of each class, and `map` is the address of a heatmap, or null.
    tell({rows, verdict, map, certainty}) {
        this.find(".probs").replaceChildren(...rows.map(createRow))
        this.find(".all").textContent = `Show all ${rows.length}`
        this.element.dataset.many = rows.length > SHOWN ? "folded" : ""
        this.find(".map").hidden = !map || certainty == NONE // nothing spoke for an answer that is none of them
        if (map) this.find(".map img").src = map
        this.element.dataset.kind = certainty
        this.say("answered", verdict)
    }

    restart() {
        this.asking.abort()
        showBlob(this.photo)
        this.say("empty", "")
        this.find(".frame").scrollIntoView({block: "nearest"})
        this.find(".choose").focus()
    }

    listenToButtons() {
        this.on("click", ".another", () => this.restart())
        this.on("click", ".choose", () => {
            this.input.removeAttribute("capture")
            this.input.click()
        })
        this.on("click", ".take", () => this.takePhoto())
        this.find(".take").hidden = !this.touch && !navigator.mediaDevices
        this.on("click", ".shoot", async () => {
            const {videoWidth, videoHeight} = this.video
            if (videoWidth) this.give(await asJpeg(this.video, videoWidth, videoHeight, 0.95)) // else it is still to come
        })
        this.on("change", "input", () => {
            if (this.input.files[0]) this.give(this.input.files[0])
            this.input.value = "" // or the same file once more is no change
        })
        this.on("click", ".all", () => {
            this.element.dataset.many = ""
            this.keepFocus()
        })
    }

    // The browser's own camera is better than a page's, where there is one.
    async takePhoto() {
        if (this.touch) {
            this.input.setAttribute("capture", "environment")
            return this.input.click()
        }
        try {
            await startCamera(this.video)
            this.say("camera", "")
        } catch {
            this.refuse("The camera cannot be used here. Please choose a photo.")
        }
    }

    listenToDrops(ground) {
        const drag = event => {
            event.preventDefault() // or a drop would open the file instead of this page
            this.element.dataset.dragged = ""
        }
        const leave = event => {
            if (!event.relatedTarget) delete this.element.dataset.dragged
        }
        const take = event => this.take(event, event.clipboardData ?? event.dataTransfer)
        for (const [name, listener] of Object.entries({paste: take, drop: take, dragover: drag, dragleave: leave}))
            ground.addEventListener(name, listener, true)
    }

    // Take what was dropped or pasted.
    take(event, transfer) {
        if (!transfer || (event.type == "paste" && !transfer.files.length)) return
        event.preventDefault()
        delete this.element.dataset.dragged
        if (!this.element.checkVisibility()) return // another tab is open
        if (transfer.files.length) this.give(transfer.files[0])
        else this.refuse("This is a link. Please save the photo itself, and drop that.")
    }

    offerExamples() {
        const {examples} = this.props
        const buttons = examples.map(([path, name]) => this.createExample(this.backend.addressOf(path), name))
        this.find(".examples").append(...buttons)
        this.find(".examples").hidden = !examples.length
    }

    createExample(address, name) {
        const [button, caption, image] = ["button", "span", "img"].map(tag => document.createElement(tag))
        button.append(caption, image)
        button.ariaLabel = `Example: ${name}`
        caption.textContent = name // until the picture is there
        image.crossOrigin = "anonymous" // so that a page of somebody else's may fetch it, too
        image.src = address
        image.alt = ""
        image.addEventListener("load", () => caption.remove())
        button.addEventListener("click", () => this.give(null, image.src))
        return button
    }
}

// Return the file at an address; throws a TypeError where there is none, as `fetch` does without a network.
const load = async (address, signal) => {
    const sent = await fetch(address, {signal})
    if (!sent.ok) throw new TypeError(`status ${sent.status}`)
    return sent.blob()
}

const createRow = ([label, prob], i) => {
    const row = document.createElement("li"),
        [name, bar, figure] = ["span", "div", "span"].map(tag => row.appendChild(document.createElement(tag)))
    row.classList.toggle("more", i >= SHOWN)
    name.textContent = label
    bar.style.setProperty("--prob", prob)
    figure.textContent = prob < 0.01 ? "under 1%" : percent(prob)
    return row
}
