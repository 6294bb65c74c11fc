// What the app's two tabs need where there is no server: the same words about what the worker says. And how the page gets
// into the pocket: it is kept for when there is no network, and can be installed.

import {listeners, look, ready} from "./model.js"
import "./tabs.js"

const {classes, words, earned, ...props} = JSON.parse(document.querySelector("#props").textContent)

export const OFFLINE = "The page cannot reach one of its files. Please check your connection and try again."
export const page = {element: document.querySelector("#page > div"), props: props.page}
export const watch = {element: document.querySelector("#watch > div"), props: props.watch}
export const served = path => path
export const embed = null // a page of somebody else's shows it in a frame

let map = null // its address, until the next one

// Answer as the app's function `name` does, with an array. `tell` gets a sentence while the model is loading.
export const ask = async (name, file, signal, tell) => {
    listeners.add(tell)
    try {
        return name == "predict" ? await predict(file) : [await see(file)]
    } finally {
        listeners.delete(tell)
    }
}

// Probabilities, the verdict, the photo with what spoke for it, and how certain that is.
const predict = async file => {
    const answer = await look(file)
    const probs = byLabel(answer)
    const group = findGroup(answer)
    const rows = group ? [[group.name, group.classes.reduce((sum, label) => sum + probs[label], 0)]] : []
    rows.push(...classes.map(label => [label, probs[label]]))
    const confidences = rows.map(([label, prob]) => ({label, confidence: Math.min(earned, prob)}))
    confidences.sort((a, b) => b.confidence - a.confidence)
    URL.revokeObjectURL(map)
    map = answer.map && URL.createObjectURL(answer.map)
    return [{confidences}, headline(answer), map && {path: map}, answer.certainty]
}

// Of a picture of the watching camera.
const see = async file => {
    const answer = await look(file, false)
    const group = findGroup(answer)?.classes ?? []
    return {probs: byLabel(answer), certainty: answer.certainty, verdict: headline(answer), group, earned}
}

const byLabel = ({probs}) => Object.fromEntries(classes.map((label, i) => [label, probs[i]]))
const likeliest = ({probs}) => classes[probs.indexOf(Math.max(...probs))]

// The group that an answer is about: its name, classes and verdict; undefined if it is about none.
const findGroup = answer => (answer.certainty == "group" ? words.group[likeliest(answer)] : undefined)

// As bears/model/wording.py has it, whose words these are.
const headline = answer => {
    if (answer.certainty == "none") return words.none
    const label = likeliest(answer)
    if (answer.certainty == "unsure") return words.unsure[label]
    if (answer.certainty == "group") return words.group[label].verdict
    return words.sure[label].join(`${Math.floor(100 * Math.min(0.99, earned, Math.max(...answer.probs)))}%`)
}

const here = document.querySelector("#here")
const status = here.querySelector("[role=status]")
const install = here.querySelector("button")

listeners.add(sentence => (status.textContent = sentence))
ready.catch(error => (status.textContent = error.message))

const keep = async () => {
    const workers = navigator.serviceWorker
    if (!workers) return // as in a frame of a page that may keep nothing, or without https
    await ready // what the model needs comes first
    await workers.register("sw.js", {updateViaCache: "none"})
    await workers.ready
    status.textContent = "Works offline now."
}
keep().catch(() => {}) // it works all the same, as long as there is a network

addEventListener("beforeinstallprompt", event => {
    event.preventDefault()
    install.hidden = false
    install.onclick = async () => {
        install.hidden = true
        await event.prompt()
    }
})
addEventListener("appinstalled", () => {
    install.hidden = true
})
