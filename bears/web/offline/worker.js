// The web worker that runs the model: open photos, run the network, and answer one question after another.

import * as ort from "../ort.js"
import {NONE} from "../answer.js"
import {Squares} from "./squares.js"
import {openPhoto} from "./photo.js"

const OURS = `offline ${new URL("../", location).href} ` // as in sw.js
const LARGE = `${OURS}large`

// Load and unpack a large file. The file is compressed, since not every host compresses files. On the first visit, also
// store the file for the service worker, which starts later. Some browsers' own caches are too small to keep the file
// until then.
const unpack = async (name, cache, arrived) => {
    const response = await fetch(name, {cache})
    if (!response.ok) throw Error(name)
    const left = (await isFirst()) && leave(name, response.clone())
    const counted = response.body.pipeThrough(new TransformStream({transform: arrived}))
    const whole = new Response(counted.pipeThrough(new DecompressionStream("gzip")))
    const data = new Uint8Array(await whole.arrayBuffer())
    await left
    return data
}

// `isFirst` and `leave` may fail: in a frame that may not store anything, without https, or if the storage is full.
const isFirst = () => attempt(async () => !(await caches.has(`${OURS}state`)))
const leave = (name, response) => attempt(async () => (await caches.open(LARGE)).put(name, response))

const attempt = async what => {
    try {
        return await what()
    } catch {
        return false
    }
}

// `cache` is fetch's option for the browser's cache.
const load = async cache => {
    const facts = await (await fetch("../model.json", {cache})).json()
    let loaded = 0
    const arrived = (piece, stream) => {
        loaded += piece.length
        postMessage({loaded, bytes: facts.bytes})
        stream.enqueue(piece)
    }
    const [graph, wasm] = await Promise.all(
        [facts.graph, facts.runtime].map(name => unpack(`../${name}`, cache, arrived)),
    )
    facts.palette = Uint8Array.from(atob(facts.palette), c => c.charCodeAt(0))
    ort.env.wasm.numThreads = 1 // more threads need special headers from the host, and are not faster here
    ort.env.wasm.wasmBinary = wasm
    const session = await ort.InferenceSession.create(graph, {executionProviders: ["wasm"]})
    const run = async ({pixels, width, height}) => {
        const photo = new ort.Tensor("uint8", new Uint8Array(pixels.buffer), [1, height, width, 3])
        const found = Object.entries(await session.run({photo}))
        return Object.fromEntries(found.map(([name, tensor]) => [name, tensor.data]))
    }
    const {size} = facts
    // Run the network once now, since the first run is slower. Don't do this if a question is already waiting.
    if (!asked) await run({pixels: new Uint8Array(3 * size * size), width: size, height: size})
    return new Squares(run, facts)
}

let asked = false
const loading = load("default").catch(() => load("reload")) // try again, since the browser's cache may have a wrong file
loading.then(
    () => postMessage({ready: true}),
    () => postMessage({unable: true}),
)

const answer = async question => {
    const photo = question.bitmap ?? (await openPhoto(question))
    try {
        const squares = await loading
        const {cam, box, probs, certainty, score} = await squares.ask(photo)
        const map = question.draw && cam && certainty != NONE ? await squares.draw(photo, cam, box) : null
        return {probs, certainty, score, map}
    } finally {
        photo.close?.() // an ImageBitmap must be closed, but a canvas can't be
    }
}

let before = Promise.resolve()
addEventListener("message", ({data}) => {
    asked = true
    before = before.then(async () => {
        try {
            postMessage({id: data.id, answer: await answer(data)})
        } catch (error) {
            postMessage({id: data.id, error: error.message})
        }
    })
})
