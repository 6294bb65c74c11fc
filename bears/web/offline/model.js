// The worker that owns the model, and how to ask it.

import {showBlob} from "../pictures.js"

const STOPPED = "The model has stopped. Please reload this page."
const MISSING = "The model cannot be loaded. Please check your connection, and reload this page."

const QUICK = 1000 // milliseconds from opening the page, after which to wait needs words

const worker = new Worker(new URL("worker.js", import.meta.url), {type: "module"})
const waiting = new Map() // by number: how each question ends
let last = 0
let failed = null

const fail = sentence => {
    failed = Error(sentence)
    for (const {reject} of waiting.values()) reject(failed)
    waiting.clear()
    return failed
}

// Fulfilled when the model is there.
export const ready = new Promise((done, reject) => {
    worker.addEventListener("message", ({data: {id, answer, error, ready, unable, loaded, bytes}}) => {
        if (loaded) return tell(loaded, bytes)
        if (ready) return done()
        if (unable) return reject(fail(MISSING))
        const question = waiting.get(id)
        waiting.delete(id)
        if (error) question?.reject(Error(error))
        else question?.resolve(answer)
    })
    worker.addEventListener("error", async () => {
        await window.fetchAgain() // so that to reload helps
        reject(fail(STOPPED))
    })
})
ready.catch(() => {}) // whoever asks is told

// Functions that get a sentence while the model is on its way, and an empty one when it is here.
export const listeners = new Set()

const tell = (loaded, bytes) => {
    if (performance.now() < QUICK) return
    const [here, all] = [loaded, bytes].map(n => Math.round(n / 1e6))
    for (const listener of listeners) listener(loaded < bytes ? `Loading the model: ${here} of ${all} MB` : "")
}

const send = (question, moved = []) =>
    new Promise((resolve, reject) => {
        if (failed) return reject(failed)
        waiting.set(++last, {resolve, reject})
        worker.postMessage({id: last, ...question}, moved)
    })

// What it makes of a file, or a sentence in an Error: {probs, certainty, map}; `map` is a Blob, or null where there is
// none, or nobody wants to `draw` it.
export const look = async (file, draw = true) =>
    send({file, ...(draw && (await sides(file))), limits: window.props.limits, draw})

// What it makes of pictures that a canvas can draw, one after another: {probs, certainty} of each. An ImageBitmap is
// used up by that.
export const ask = pictures => Promise.all(pictures.map(askOne))

const askOne = async picture => {
    const bitmap = picture instanceof ImageBitmap ? picture : await createImageBitmap(picture)
    return send({bitmap}, [bitmap])
}

// Width and height, which a browser knows before it has decoded a photo; 0 of what it cannot open.
const sides = async file => {
    const image = new Image()
    await new Promise(done => {
        image.onload = image.onerror = done
        showBlob(image, file)
    })
    const {naturalWidth: width, naturalHeight: height} = image
    showBlob(image)
    return {width, height}
}
