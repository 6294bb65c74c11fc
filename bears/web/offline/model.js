// Start the worker that runs the model, and send it photos.

import {showBlob} from "../pictures.js"

const STOPPED = "The model has stopped. Please reload this page."
const MISSING = "The model can't be loaded. Please check your connection, and reload this page."

const QUICK = 1000 // milliseconds; show "Loading the model" only if it takes longer

const worker = new Worker(new URL("worker.js", import.meta.url), {type: "module"})
const waiting = new Map() // by number: the functions that resolve or reject each question's Promise
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
        await window.fetchAgain() // so that the page works after it is reloaded
        reject(fail(STOPPED))
    })
})
ready.catch(() => {}) // each question is rejected with the error, too

// Functions that get a sentence and the loaded share while the model is loading, and nothing when it has loaded.
export const listeners = new Set()

const tell = (loaded, bytes) => {
    if (performance.now() < QUICK) return
    const [here, all] = [loaded, bytes].map(n => Math.round(n / 1e6))
    const told = loaded < bytes ? [`Loading the model: ${here} of ${all} MB`, loaded / bytes] : []
    for (const listener of listeners) listener(...told)
}

const send = (question, moved = []) =>
    new Promise((resolve, reject) => {
        if (failed) return reject(failed)
        waiting.set(++last, {resolve, reject})
        worker.postMessage({id: last, ...question}, moved)
    })

// Return the answer about a file, {probs, certainty, map}. `map` is the heatmap, a Blob. It is null if there is no heatmap
// or if `draw` is false. Rejects with an Error whose message is a sentence.
export const look = async (file, draw = true) =>
    send({file, ...(draw && (await sides(file))), limits: window.props.limits, draw})

// Return the answers, {probs, certainty}, about pictures that a canvas can draw. If a picture is an ImageBitmap, it can't
// be used again after this.
export const ask = pictures => Promise.all(pictures.map(askOne))

const askOne = async picture => {
    const bitmap = picture instanceof ImageBitmap ? picture : await createImageBitmap(picture)
    return send({bitmap}, [bitmap])
}

// Return a photo's width and height without decoding the photo. Both are 0 if the browser can't open it.
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
