// The service worker: store all files of the page, and serve them with or without a network. It doesn't run the model
// (see worker.js). site.py writes VERSION, FILES (with the SHA-256 of each file) and CSP above this line.

const OURS = `offline ${self.registration.scope} ` // several pages may share a host; worker.js uses the same names
const CACHE = OURS + VERSION
const LARGE = `${OURS}large` // large files that the page has just loaded
const STATE = `${OURS}state` // `current` is the version in use, and `next` the version for the next start
const TYPES = {
    html: "text/html; charset=utf-8",
    css: "text/css; charset=utf-8",
    js: "text/javascript; charset=utf-8",
    json: "application/json",
    webmanifest: "application/manifest+json",
    svg: "image/svg+xml",
    png: "image/png",
    jpg: "image/jpeg",
    bin: "application/octet-stream",
}

const state = async () => {
    const kept = await (await caches.open(STATE)).match("state")
    return kept ? kept.json() : {}
}

const remember = async change => {
    const cache = await caches.open(STATE)
    await cache.put("state", Response.json({...(await state()), ...change}))
}

const versions = async () =>
    (await caches.keys()).filter(name => name.startsWith(OURS) && ![LARGE, STATE].includes(name))

const sha256 = async data => {
    const digest = await crypto.subtle.digest("SHA-256", data)
    return [...new Uint8Array(digest)].map(byte => byte.toString(16).padStart(2, "0")).join("")
}

// Return a file from any stored version that has the same file, with the same hash.
const known = async (name, hash) => {
    for (const version of await versions()) {
        const response = await (await caches.open(version)).match(name)
        if (response?.headers.get("ETag") == hash) return response
    }
}

// Return a file that the page has just loaded, or else load it from the network, without the browser's cache. Throws an
// Error if the file is from another version, since the host may be in the middle of an update.
const fetched = async (name, hash) => {
    const left = await caches.match(name, {cacheName: LARGE})
    const data = (left && (await checked(left, hash))) ?? (await checked(await fetch(name, {cache: "reload"}), hash))
    if (!data) throw Error(`${name} is not of version ${VERSION}`)
    const headers = {"Content-Type": TYPES[name.split(".").pop()], "Content-Security-Policy": CSP, ETag: hash}
    return new Response(data, {headers})
}

// Return the body of a response, or undefined if its hash is wrong.
const checked = async (response, hash) => {
    const data = await response.arrayBuffer()
    if (response.ok && (await sha256(data)) == hash) return data
}

const keep = async () => {
    const cache = await caches.open(CACHE)
    for (const [name, hash] of Object.entries(FILES))
        await cache.put(name, (await known(name, hash)) ?? (await fetched(name, hash)))
    await remember({next: VERSION})
}

// Store a new version. If any file fails, delete the whole version.
const install = () =>
    keep().catch(async error => {
        await caches.delete(LARGE)
        if ((await state()).current != VERSION) await caches.delete(CACHE)
        throw error
    })

const activate = async () => {
    if (!(await state()).current) await remember({current: VERSION})
    await caches.delete(LARGE)
    await self.clients.claim()
}

// When the page is opened, switch to a new version and delete the old one, unless the page is also open in another tab.
// An open page keeps its version until it is closed, even if the browser already runs a new version of this script.
const start = async request => {
    const {current, next} = await state()
    const open = await self.clients.matchAll({includeUncontrolled: true})
    const others = open.filter(({url}) => url.startsWith(self.registration.scope)).length
    if (next == current || others > (request.isReloadNavigation ? 1 : 0)) return
    await remember({current: next})
    for (const version of await versions()) if (version != OURS + next) await caches.delete(version)
}

const answer = async request => {
    const url = new URL(request.url)
    if (url.origin != location.origin) return Response.error() // the page sends nothing to other hosts
    if (request.mode == "navigate") await start(request)
    if (url.pathname.endsWith("/")) url.pathname += "index.html"
    const cache = await caches.open(OURS + (await state()).current)
    return (await cache.match(url.origin + url.pathname)) ?? fetch(request)
}

addEventListener("install", event => event.waitUntil(install()))
addEventListener("activate", event => event.waitUntil(activate()))
addEventListener("fetch", event => event.respondWith(answer(event.request)))
