// The Photo tab: classify a photo, and show the answer. The photo may be a file, an example, from the camera, dropped or
// pasted. `element` contains page.html.

import {NONE, percent, UNSURE} from "./answer.js"
import {drawCard, shareCard} from "./card.js"
import {Compare} from "./compare.js"
import {Crop} from "./crop.js"
import {findFlaw} from "./flaws.js"
import {asJpeg, place, showBlob, startCamera, stopCamera} from "./pictures.js"
import {make, pause, Tab} from "./tab.js"

const SHOWN = 5 // classes
const PATIENCE = 2 // seconds to wait for an example's file
const SOON = 5 // seconds left of a wait: too few to load the offline version
const LOOKING = "Looking…"
const OFFLINE = "You are offline. I'll try again when you are online."
const CLOSER = "To ask about only a part of the photo, tap that part."
const CROPPING = "Drag the frame to the part to ask about, or draw a new frame."

export class PhotoTab extends Tab {
    asking = new AbortController()
    touch = matchMedia("(pointer: coarse)").matches

    // `props.examples` has [path, name] pairs. `props.names` has the names that visitors read for labels. `props.none` is
    // the verdict for a photo with none of the classes. `props.hints` says how to check an answer: the key is the label of
    // the answer's first bar, and the value has a sentence for each class. Visitors can drop photos on `ground`.
    constructor(element, props, backend, ground = window) {
        super(element, props, backend)
        this.photo = this.find(".yours")
        this.glow = this.find(".glow")
        this.video = this.find("video")
        this.input = this.find("[type=file]")
        this.verdict = this.find(".verdict")
        this.compare = new Compare(element, props, backend, this.photo)
        this.progress = new Progress(this.find("progress"))
        this.photo.addEventListener("error", () => (element.dataset.unseen = ""))
        const keys = {ask: () => this.askAboutPart(), cancel: () => this.leaveCrop()}
        this.crop = new Crop(this.find(".frame"), this.photo, this.find(".part"), keys)
        const placeOutlines = () => place(this.find(".found"), this.crop.shown())
        this.photo.addEventListener("load", placeOutlines)
        new ResizeObserver(placeOutlines).observe(this.find(".frame"))
        this.listenToButtons()
        this.listenToDrops(ground)
        this.offerExamples()
        this.show(props.examples.length ? "opening" : "empty")
        if (props.examples.length) this.open()
    }

    show(state) {
        const held = this.element.contains(document.activeElement)
        this.element.dataset.state = state
        if (state != "camera") stopCamera(this.video)
        if (state != "cropping") this.crop.stop()
        this.video.hidden = state != "camera"
        const own = ["looking", "answered"].includes(state) && !("first" in this.element.dataset)
        this.find(".choose").textContent = own ? "Another photo" : "Choose a photo"
        const none = !this.photo.getAttribute("src")
        this.photo.hidden = none || ["opening", "empty", "camera"].includes(state)
        if (none) this.element.dataset.unseen = ""
        this.showBackdrop()
        if (held) this.keepFocus()
    }

    // Fill the empty parts of the frame with a blurred copy of the photo.
    showBackdrop() {
        const backdrop = this.find(".backdrop"),
            {hidden, src} = this.photo
        backdrop.hidden = hidden
        if (!hidden && backdrop.src != src) backdrop.src = src
    }

    // If the focused button is hidden now, focus another one. Otherwise the focus would jump to the top of the page.
    keepFocus() {
        if (document.activeElement.checkVisibility({visibilityProperty: true})) return
        const buttons = [".again", ".shoot", ".choose"].map(name => this.find(name))
        buttons.find(button => button.checkVisibility())?.focus({preventScroll: true})
    }

    say(state, sentence) {
        this.verdict.textContent = sentence
        this.show(state)
        if (sentence) this.verdict.scrollIntoView({block: "nearest"})
    }

    // Show a sentence below the verdict.
    note(sentence, live = "off") {
        Object.assign(this.find(".note"), {ariaLive: live, textContent: sentence})
    }

    // Show an error. With `again`, also show a button to try the same photo again.
    refuse(sentence, again = false) {
        this.clear()
        this.find(".again").hidden = !again
        this.say("refused", sentence)
    }

    // Show the first example with its answer, unless the visitor has already chosen a photo.
    async open() {
        const first = await this.backend.first().catch(() => null)
        if (this.element.dataset.state != "opening") return
        if (!first) return this.show("empty")
        this.element.dataset.first = this.element.dataset.example = ""
        delete this.element.dataset.unseen
        this.photo.src = this.backend.addressOf(first.example)
        this.photo.alt = `Example: ${this.props.examples.find(([path]) => path == first.example)?.[1]}`
        this.fill(first)
        this.show("answered")
        this.explainWhy(true)
    }

    // Remove the heatmap, the note, and the example that is shown at the start.
    clear() {
        if ("first" in this.element.dataset) showBlob(this.photo)
        delete this.element.dataset.first
        this.explainWhy(false)
        this.note("")
    }

    // Classify `file`, or else the photo at `address`. Cancel an earlier photo that has no answer yet.
    async give(file, address, alt = "Your photo", isExample = Boolean(address)) {
        this.asking.abort()
        this.asking = new AbortController()
        const {signal} = this.asking
        this.clear()
        showBlob(this.photo, file)
        delete this.element.dataset.unseen
        this.element.toggleAttribute("data-example", isExample)
        if (address) this.photo.src = address
        this.photo.alt = alt
        this.find(".again").onclick = () => this.give(file, address, alt, isExample)
        this.say("looking", LOOKING)
        this.find(".frame").scrollIntoView({block: "nearest"})
        this.countSeconds(signal)
        const wait = (why, done) => {
            if (signal.aborted || this.element.dataset.state != "looking") return
            if (this.verdict.textContent != (why || LOOKING)) this.verdict.textContent = why || LOOKING
            this.progress.tell(done)
        }
        try {
            const answer = await this.backend.predict(file ?? (await load(address, this.photo, signal)), signal, wait)
            if (!signal.aborted) await this.tell(answer, signal)
        } catch (error) {
            if (!signal.aborted) this.fail(error)
        }
    }

    // Show how many seconds the answer takes, and how many are left. Screen readers don't read the seconds out.
    countSeconds(signal) {
        let [seconds, nearlyUntil] = [0, 0]
        this.progress.start()
        this.element.removeAttribute("data-nearly")
        const timer = setInterval(() => {
            if (signal.aborted || this.element.dataset.state != "looking") return clearInterval(timer)
            const left = this.progress.secondsLeft()
            this.note(`Waiting for ${++seconds} s${timeLeft(left)}`)
            if (left < SOON) nearlyUntil = seconds + SOON // the estimate ends before the wait does
            this.element.toggleAttribute("data-nearly", seconds < nearlyUntil)
            this.keepFocus()
            this.progress.bar.hidden = false
        }, 1000)
    }

    // Show an error. If trying again may help, also do so as soon as the network is back.
    fail(error) {
        const again = error instanceof TypeError || Boolean(error.passing)
        if (!again) showBlob(this.photo) // remove the photo, since a browser would show parts of a damaged one
        this.refuse(error instanceof TypeError && !navigator.onLine ? OFFLINE : this.explain(error), again)
        const {signal} = this.asking
        const retry = async () => {
            await pause(1) // browsers say that they are online a moment before they are
            if (!signal.aborted && this.element.dataset.state == "refused") this.find(".again").click()
        }
        if (again) addEventListener("online", retry, {once: true, signal})
    }

    // Show an answer. If it has a `note`, or if the photo has a flaw, also show this.
    async tell(answer, signal) {
        const doubtful = [NONE, UNSURE].includes(answer.certainty)
        if (doubtful) await this.photo.decode().catch(() => null)
        if (signal.aborted) return
        this.fill(answer)
        const advice = doubtful && this.photo.naturalWidth ? findFlaw(this.photo) || CLOSER : ""
        this.note([answer.note, advice].filter(Boolean).join(" "))
        this.say("answered", this.verdict.textContent)
    }

    // Show an answer. `rows` are [label, probability] pairs, and `map` is the address of a heatmap, or null.
    fill({rows, verdict, map, certainty, animals = []}) {
        const {names = {}} = this.props
        const named = rows.map(([label, prob]) => [names[label] ?? label, prob])
        this.find(".probs").replaceChildren(...named.map(createRow))
        this.find(".all").textContent = `Show all ${rows.length}`
        this.element.dataset.many = rows.length > SHOWN ? "folded" : ""
        const none = certainty == NONE // this answer has no heatmap
        this.find(".why").hidden = !map || none
        if (map && !none) this.glow.src = map
        else this.glow.removeAttribute("src")
        this.listAnimals(animals)
        this.compare.show(none ? [] : rows.slice(0, certainty == UNSURE ? 2 : 1))
        this.find(".bars").open = !none
        this.element.dataset.kind = certainty
        this.verdict.textContent = none ? this.props.none : verdict
    }

    // Show or hide the heatmap over the photo.
    explainWhy(on) {
        this.find(".why").ariaPressed = String(on)
        this.glow.hidden = !on
        this.find(".legend").hidden = !on
    }

    // If there are several animals, outline and number them. The verdict and the bars are about the first animal, so list
    // the verdicts about the others. A `box` is left, top, right and bottom in fractions of the photo.
    listAnimals(animals) {
        this.animals = animals
        this.element.toggleAttribute("data-several", animals.length > 0)
        const outlines = animals.map(({box: [left, top, right, bottom]}, i) => {
            const outline = make("div", {}, make("span", {}, i + 1))
            const sides = {left, top, width: right - left, height: bottom - top}
            for (const [name, side] of Object.entries(sides)) outline.style[name] = `${100 * side}%`
            return outline
        })
        this.find(".found").replaceChildren(...outlines)
        this.find(".animals").replaceChildren(...animals.slice(1).map(({verdict}) => make("li", {}, verdict)))
    }

    listenToButtons() {
        this.on("click", ".choose", () => {
            this.input.removeAttribute("capture")
            this.input.click()
        })
        this.on("click", ".take", () => this.takePhoto())
        this.find(".take").hidden = !this.touch && !navigator.mediaDevices
        this.on("click", ".shoot", async () => {
            const {videoWidth, videoHeight} = this.video
            if (videoWidth) this.give(await asJpeg(this.video, videoWidth, videoHeight, 0.95)) // else it hasn't started
        })
        this.on("change", "[type=file]", () => {
            if (this.input.files[0]) this.give(this.input.files[0])
            this.input.value = "" // or the browser would not report it if the same file is chosen again
        })
        this.on("click", ".all", () => {
            this.element.dataset.many = ""
            this.keepFocus()
        })
        this.on("click", ".why", () => this.explainWhy(this.glow.hidden))
        this.on("click", ".share", () => this.share())
        this.on("click", ".crop", () => this.startCrop())
        this.on("click", ".yours", event => this.startCrop(event))
        this.on("click", ".glow", event => this.startCrop(event))
        this.on("click", ".ask", () => this.askAboutPart())
        this.on("click", ".cancel", () => this.leave())
    }

    // Let the visitor choose a part of the photo to classify.
    startCrop(at = null) {
        if (this.element.dataset.state != "answered" || !this.photo.naturalWidth) return
        this.said = this.verdict.textContent
        this.explainWhy(false)
        this.say("cropping", CROPPING)
        this.crop.start(at, this.animals[0]?.box)
        this.find(".part").focus({preventScroll: true})
    }

    async askAboutPart() {
        const part = this.crop.pixels()
        this.find(".choose").focus({preventScroll: true})
        const isExample = "example" in this.element.dataset
        this.give(await asJpeg(this.photo, part[2], part[3], 0.95, part), null, this.photo.alt, isExample)
    }

    // Leave the choice of a part and show the answer again, or leave the camera and show the start.
    leave() {
        if (this.element.dataset.state == "cropping") return this.leaveCrop()
        this.clear()
        showBlob(this.photo)
        this.say("empty", "")
        this.find(".choose").focus({preventScroll: true})
    }

    leaveCrop() {
        this.say("answered", this.said)
        this.find(".crop").focus({preventScroll: true})
    }

    async share() {
        const address = String(this.backend.address)
            .replace(/^https?:\/\//, "")
            .replace(/\/$/, "")
        const card = await drawCard(this.photo, this.glow, this.verdict.textContent, address)
        this.note(await shareCard(card, document.title), "polite")
    }

    // On a phone, open its camera app, which is better than a camera in this page. Otherwise, show the camera in this page.
    async takePhoto() {
        if (this.touch) {
            this.input.setAttribute("capture", "environment")
            return this.input.click()
        }
        try {
            await startCamera(this.video)
            this.asking.abort()
            this.clear()
            this.say("camera", "")
        } catch {
            this.refuse("Can't use the camera here. Please choose a photo.")
        }
    }

    listenToDrops(ground) {
        const drag = event => {
            event.preventDefault() // or the browser would open a dropped file instead of this page
            this.element.dataset.dragged = ""
        }
        const leave = event => {
            if (!event.relatedTarget) delete this.element.dataset.dragged
        }
        const take = event => this.take(event, event.clipboardData ?? event.dataTransfer)
        for (const [name, listener] of Object.entries({paste: take, drop: take, dragover: drag, dragleave: leave}))
            ground.addEventListener(name, listener, true)
    }

    // Classify the file that was dropped or pasted.
    take(event, transfer) {
        if (!transfer || (event.type == "paste" && !transfer.files.length)) return
        event.preventDefault()
        delete this.element.dataset.dragged
        if (!this.element.checkVisibility()) return // the Camera tab is open
        if (transfer.files.length) return this.give(transfer.files[0])
        this.refuse("That was a link. Please save the photo itself, then drop the file here.")
    }

    offerExamples() {
        const {examples} = this.props
        const buttons = examples.map(([path, name]) => this.createExample(this.backend.addressOf(path), name))
        this.find(".examples").append(...buttons)
        this.find(".examples").hidden = !examples.length
    }

    createExample(address, name) {
        const [button, image, caption] = ["button", "img", "span"].map(tag => document.createElement(tag))
        button.append(image, caption)
        button.ariaLabel = `Example: ${name}`
        caption.textContent = name
        image.crossOrigin = "anonymous" // so that another website's page can fetch it, too
        image.fetchPriority = "low" // the visitor's own photo is more urgent
        image.src = address
        image.alt = ""
        button.addEventListener("click", () => this.give(null, image.src, button.ariaLabel))
        return button
    }
}

// Show how much of a wait is over, and estimate how long it still takes.
class Progress {
    constructor(bar) {
        this.bar = bar // a <progress>
    }

    start() {
        this.bar.hidden = true
        this.tell()
    }

    // Show that the share `done` of the wait is over. Without `done`, show that nobody knows how long the wait takes.
    tell(done) {
        this.latest = {done, time: performance.now()}
        if (done === undefined) {
            this.first = null
            return this.bar.removeAttribute("value")
        }
        this.first ??= this.latest
        if (done) this.bar.value = done
    }

    // Return how many seconds the wait still takes, or NaN if nobody knows.
    secondsLeft() {
        if (!this.first) return NaN
        const passed = this.latest.done - this.first.done
        const seconds = ((1 - this.latest.done) / passed) * ((this.latest.time - this.first.time) / 1000)
        return passed > 0 ? seconds : NaN
    }
}

// Return how long a wait still takes, such as ", about 8 s left", or an empty text if `seconds` is NaN.
const timeLeft = seconds => {
    if (isNaN(seconds)) return ""
    return `, about ${seconds > 90 ? `${Math.round(seconds / 60)} min` : `${Math.max(1, Math.round(seconds))} s`} left`
}

// Return the file at an address. If it doesn't arrive in time, return a copy of the picture that `photo` shows. Throws a
// TypeError if there is neither.
const load = async (address, photo, signal) => {
    try {
        const sent = await fetch(address, {signal: AbortSignal.any([signal, AbortSignal.timeout(1000 * PATIENCE)])})
        if (sent.ok) return await sent.blob()
    } catch {
        // The picture may be on the page all the same.
    }
    await photo.decode().catch(() => null)
    signal.throwIfAborted() // or `photo` may show another photo
    if (!photo.naturalWidth) throw new TypeError(`There is no file at ${address}.`)
    return asJpeg(photo, photo.naturalWidth, photo.naturalHeight, 0.95)
}

const createRow = ([name, prob], i) => {
    const row = document.createElement("li"),
        [label, bar, figure] = ["span", "div", "span"].map(tag => row.appendChild(document.createElement(tag)))
    row.classList.toggle("more", i >= SHOWN)
    label.textContent = name
    bar.style.setProperty("--prob", prob < 0.01 ? 0 : prob)
    figure.textContent = prob < 0.01 ? "under 1%" : percent(prob)
    return row
}
