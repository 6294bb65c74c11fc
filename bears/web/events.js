// The list of alarms, in the browser's storage. When the storage is full, the oldest alarms are deleted.

import {percent} from "./answer.js"
import {download, showBlob} from "./pictures.js"
import {make} from "./tab.js"
import {zip} from "./zip.js"

const MAX_EVENTS = 100
const DISARM = 5 // seconds; a second tap within this time deletes
const FALSE_ALARM = "False alarm",
    UNCLEAR = "Can't tell"

export class EventList {
    events = []

    // `element` is the `details.log` of camera.html. `right` is the label for a correct alarm.
    constructor(element, right = "It was right") {
        Object.assign(this, {element, right})
        this.find(".save").addEventListener("click", () => this.save())
        atSecondTap(this.find(".delete"), "Really delete all?", () => this.clear())
        this.large = element.parentElement.querySelector(".large")
        this.large.querySelector(".close").addEventListener("click", () => this.large.close())
        this.open()
    }

    find(name) {
        return this.element.querySelector(name)
    }

    async open() {
        try {
            this.database = await done(indexedDB.open("watch", 1), request =>
                request.addEventListener("upgradeneeded", () =>
                    request.result.createObjectStore("events", {keyPath: "at"}),
                ),
            )
            this.events = (await done(this.store().getAll())).reverse()
        } catch {
            // In a private window, or in a frame of another site, events are lost when the page is closed.
        }
        this.show()
    }

    store() {
        return this.database.transaction("events", "readwrite").objectStore("events")
    }

    async add(event) {
        this.events.unshift(event)
        const old = this.events.splice(MAX_EVENTS)
        this.show()
        if (!this.database) return
        for (const {at} of old) this.store().delete(at)
        for (let oldest = this.events.at(-1); oldest;) {
            try {
                return await done(this.store().put(event))
            } catch {
                // The storage is full.
                if (oldest == event) return
                await done(this.store().delete(oldest.at)).catch(() => null)
                this.events.pop()
                oldest = this.events.at(-1)
            }
        }
    }

    show() {
        for (const image of this.find("ol").querySelectorAll("img")) showBlob(image)
        this.find("summary").textContent = this.events.length ? `Events (${this.events.length})` : "Events"
        this.find("ol").replaceChildren(...this.events.map(event => this.createRow(event)))
    }

    createRow(event) {
        const title = make("strong", {}, `${new Date(event.at).toLocaleString()}: ${event.verdict}`)
        const pictures = make("div", {}, ...event.looks.map(look => this.createFigure(look)))
        const buttons = [this.right, FALSE_ALARM, UNCLEAR].map(label => this.createButton(event, label))
        const labels = make("div", {className: "labels", role: "group", ariaLabel: "What was it?"}, ...buttons)
        return make("li", {}, title, pictures, labels, this.createRemove(event))
    }

    createFigure({picture, verdict, score, earned}) {
        // Load the picture lazily, since each alarm builds the list again, and the list is usually closed.
        const image = make("img", {loading: "lazy", alt: verdict})
        showBlob(image, picture)
        const button = make("button", {title: "Enlarge", onclick: () => this.enlarge(picture, verdict)}, image)
        return make("figure", {}, button, percent(score, earned))
    }

    // Show a picture on the whole screen, until the visitor presses Escape or taps "Close".
    enlarge(picture, verdict) {
        const image = this.large.querySelector("img")
        showBlob(image, picture)
        image.alt = verdict
        this.large.showModal()
    }

    createRemove(event) {
        const button = make("button", {className: "remove"}, "Delete")
        atSecondTap(button, "Really delete?", () => this.remove(event))
        return button
    }

    remove(event) {
        this.events = this.events.filter(other => other != event)
        if (this.database) this.store().delete(event.at)
        this.show()
        this.find("summary").focus()
    }

    createButton(event, label) {
        const button = make("button", {ariaPressed: String(event.label == label)}, label)
        button.addEventListener("click", () => this.label(event, label, button))
        return button
    }

    // Set the label of an event. If the same label is chosen again, remove it. The zip contains the label.
    label(event, label, button) {
        if (event.label == label) delete event.label
        else event.label = label
        for (const other of button.parentElement.children) other.ariaPressed = String(other.textContent == event.label)
        this.database && done(this.store().put(event)).catch(() => null) // the storage may be full
    }

    clear() {
        this.events = []
        if (this.database) this.store().clear()
        this.show()
    }

    async save() {
        download(await zip(this.events.flatMap(filesOf)), "events.zip")
    }
}

// Run `action` at the second tap on a button. The first tap shows `question` for `DISARM` seconds.
const atSecondTap = (button, question, action) => {
    const name = button.textContent
    let disarming
    const disarm = () => {
        clearTimeout(disarming)
        button.textContent = name
    }
    button.addEventListener("blur", disarm)
    button.addEventListener("click", () => {
        const sure = button.textContent == question
        disarm()
        if (sure) return action()
        button.textContent = question
        disarming = setTimeout(disarm, 1000 * DISARM)
    })
}

// Return the files of an event for the zip, as [name, Blob] pairs.
const filesOf = ({looks, ...event}) => {
    const folder = event.at.replaceAll(":", "-"),
        scores = looks.map(({picture, ...look}) => look)
    return [
        [`${folder}/event.json`, new Blob([JSON.stringify({...event, looks: scores}, null, 1)])],
        ...looks.map(({picture}, i) => [`${folder}/${i + 1}.jpg`, picture]),
    ]
}

// Return a Promise that resolves to the result of an IDBRequest.
const done = (request, prepare = () => null) =>
    new Promise((resolve, reject) => {
        prepare(request)
        request.addEventListener("success", () => resolve(request.result))
        request.addEventListener("error", () => reject(request.error))
    })
