// Start the worker that runs the model, and send it photos.

import {showBlob} from "../pictures.js"

const STOPPED = "The model has stopped. Please reload this page."
const MISSING = "The model can't be loaded. Please check your connection, and reload this page."

const QUICK = 1000 // milliseconds from opening the page until "Loading the model" is shown

const worker = new Worker(new URL("worker.js", import.meta.url), {type: "module"})
const waiting = new Map() // by number: the functions that end each question's Promise
let last = 0
let failed = null

const fail = sentence => {
    failed = Error(sentence)
    for (const {reject} of waiting.values()) reject(failed)
    waiting.clear()
    return failed
}

// A Promise that is fulfilled when the model has loaded.
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
        await window.fetchAgain() // so that reloading the page helps
        reject(fail(STOPPED))
    })
})
ready.catch(() => {}) // each question reports the error itself

// Functions that get a sentence while the model is loading, and an empty one when it has loaded.
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

// Return the answer about a file, {probs, certainty, map}. `map` is a heatmap, a Blob, or null if there is none or `draw`
// is false. Rejects with an Error that has a sentence.
export const look = async (file, draw = true) =>
    send({file, ...(draw && (await sides(file))), limits: window.props.limits, draw})

// Return the answers, {probs, certainty}, about pictures that a canvas can draw. An ImageBitmap can't be used again.
export const ask = pictures => Promise.all(pictures.map(askOne))

const askOne = async picture => {
    const bitmap = picture instanceof ImageBitmap ? picture : await createImageBitmap(picture)
    return send({bitmap}, [bitmap])
}

// Return a photo's width and height, which a browser knows before it decodes it, or 0 if it can't open it.
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
