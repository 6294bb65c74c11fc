// The back end of the offline version, with what server.js exports: the worker answers, and nothing is sent to anybody.

import {listeners, look} from "./model.js"
import {describe} from "./words.js"

export const UNREACHABLE = "Can't load one of the page's files. Please check your connection and try again."

const {classes, words, earned} = window.props // which start.js has read
let map = null // its address, until the next one

export const address = new URL("./", document.baseURI)

// Return the answer about an example that came with the page, or null.
export const first = async () => window.props.page.first ?? null

// Return the address of a file of the page.
export const addressOf = path => path

// Return the answer about a photo. `wait` is told while the model is loading, and when that is over.
export const predict = async (file, signal, wait) => {
    const answer = await waiting(wait, look(file))
    const {rows, verdict} = describe({classes, words, earned}, answer)
    URL.revokeObjectURL(map)
    map = answer.map && URL.createObjectURL(answer.map)
    return {rows, verdict, map, certainty: answer.certainty}
}

// Return the answer about a picture of a camera.
export const classifyFrame = async (file, signal, wait) => {
    const {certainty, probs} = await waiting(wait, look(file, false))
    const {verdict, group} = describe({classes, words, earned}, {certainty, probs})
    return {probs: Object.fromEntries(classes.map((label, i) => [label, probs[i]])), certainty, verdict, group, earned}
}

const waiting = async (wait, answer) => {
    listeners.add(wait)
    try {
        return await answer
    } finally {
        listeners.delete(wait)
    }
}
