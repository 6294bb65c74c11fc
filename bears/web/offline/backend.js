// The back end of the offline version, with the same exports as server.js. A web worker runs the model, and no photo is
// sent to a server.

import {listeners, look} from "./model.js"
import {describe} from "./words.js"

export const UNREACHABLE = "Can't load one of the page's files. Please check your connection and try again."

const {classes, words, earned} = window.props // start.js has read them from the page
let map = null // the address of the latest heatmap

export const address = new URL("./", document.baseURI)

// Return the answer that is shown at the start, about an example, or null if there is none. The page contains the answer.
export const first = async () => window.props.page.first ?? null

// Return the address of a file of the page.
export const addressOf = path => path

// Return the answer about a photo. `wait(sentence, done)` is called while the model is loading.
export const predict = async (file, signal, wait) => {
    const answer = await waiting(wait, look(file))
    const {rows, verdict} = describe({classes, words, earned}, answer)
    URL.revokeObjectURL(map)
    map = answer.map && URL.createObjectURL(answer.map)
    return {rows, verdict, map, certainty: answer.certainty}
}

// Return the answer about a camera picture.
export const classifyFrame = async (file, signal, wait) => {
    const {certainty, probs} = await waiting(wait, look(file, false))
    const {verdict, group} = describe({classes, words, earned}, {certainty, probs})
    return {probs: Object.fromEntries(classes.map((label, i) => [label, probs[i]])), certainty, verdict, group, earned}
}

const waiting = async (wait, answer) => {
    if (wait) listeners.add(wait)
    try {
        return await answer
    } finally {
        listeners.delete(wait)
    }
}
