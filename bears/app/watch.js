// Camp watch: the browser's camera, what moves before it, what the model says of that, and the rule of docs/alarm.md.
// `ask` is that of api.js, the rule is in alarm.js and what moves in motion.js. `element` is what watch.html has made;
// `props` are the model's `classes`, those that `alarm`, and `promise`, which says where pictures go.

const EVERY = 200 // milliseconds from picture to picture
const LOOK = 0.35 // seconds between two looks at a track, at least,
const SELDOM = 4 // and where there was nothing
const WHOLE = 10 // seconds between two looks at the whole picture
const MAX_LOOKS = 3 // at one picture
const MARGIN = 0.2 // of a box's longer side, on all sides
const LEAST_SIDE = 0.2 // of the picture's shorter side, is cut out at least
const SENT = 640 // pixels of the longer side of what the model is shown
const SENSITIVITY = {low: 0.7, medium: RULE.threshold, high: 0.3}
const MINUTES = 5 // of the strip
const SIREN = 60 // seconds
const AGAIN = 5 // seconds until the camera, or the server, is tried again
const MAX_EVENTS = 100
const NO_CAMERA = "The camera cannot be used. Please allow it for this page, and see that no other program has it."

const find = name => element.querySelector(name)
const video = find("video"),
    strip = find(".strip")
const clock = () => performance.now() / 1000
const whole = {number: 0} // the whole picture, as a track
let stopping = null // aborts all that is going on while it watches
let movement, tracks, alarm, asking, latest, points, shown

const say = sentence => {
    if (find(".now").textContent != sentence) find(".now").textContent = sentence
}

const start = async () => {
    sound.prepare()
    try {
        await connect()
    } catch {
        return say(NO_CAMERA)
    }
    stopping = new AbortController()
    movement = new Movement()
    tracks = new Tracks()
    alarm = new Alarm()
    latest = new Map()
    points = []
    asking = false
    setSensitivity()
    Object.assign(whole, {looked: -Infinity, score: 0, nothing: 0, seen: clock()})
    element.dataset.state = "on"
    say("Watching…")
    find(".badge").textContent = "Watching"
    find(".stop").focus()
    stayAwake()
    run(stopping.signal)
}

const stop = () => {
    stopping?.abort()
    stopping = null
    for (const track of video.srcObject?.getTracks() ?? []) track.stop()
    video.srcObject = null
    element.dataset.state = "off"
    find(".box").hidden = true
    quiet()
    say("")
    find(".start").focus()
}

// The camera, the rear one unless another was chosen; rejects where there is none.
const connect = async () => {
    const chosen = find(".camera").value,
        size = {width: {ideal: 1280}, height: {ideal: 720}}
    const which = chosen ? {deviceId: {exact: chosen}} : {facingMode: "environment"}
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: {...size, ...which}})
    await video.play()
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(device => device.kind == "videoinput")
    const [track] = video.srcObject.getVideoTracks(),
        now = track.getSettings().deviceId
    find(".which").hidden = cameras.length < 2
    find(".camera").replaceChildren(
        ...cameras.map(
            ({deviceId, label}, i) => new Option(label || `Camera ${i + 1}`, deviceId, false, deviceId == now),
        ),
    )
}

const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds))

const run = async signal => {
    while (!signal.aborted) {
        const began = performance.now(),
            [track] = video.srcObject?.getVideoTracks() ?? []
        if (track?.readyState != "live") {
            find(".badge").textContent = "The camera is gone. Trying again…"
            await connect().then(
                () => (find(".badge").textContent = "Watching"),
                () => pause(AGAIN),
            )
            if (signal.aborted) stop() // meanwhile
            continue
        }
        if (video.videoWidth) turn(signal)
        draw()
        await pause(Math.max(0.01, (EVERY - performance.now() + began) / 1000))
    }
}

// See what moves, and show the model what has not been looked at for longest. One question at a time, so that a slow
// model never falls behind, and no visitor takes more than a place.
const turn = async signal => {
    const {videoWidth: width, videoHeight: height} = video,
        seconds = clock()
    const boxes = movement.boxes(video, width, height, seconds)
    tracks.join(boxes ?? [], seconds)
    tracks.forget(seconds, enough())
    if (!boxes) whole.looked = -Infinity
    mark()
    if (asking) return
    const due = [whole, ...tracks.all].filter(track => isDue(track, seconds)).sort((a, b) => a.looked - b.looked)
    if (!due.length) return react(alarm.step(seconds))
    asking = true
    try {
        const looks = due.slice(0, MAX_LOOKS).map(track => {
            const box = track == whole ? [0, 0, width, height] : square(track.box, width, height)
            return {track, box, picture: cut(box)} // now, before the next picture comes
        })
        for (const look of looks) look.picture = await look.picture
        const wait = why => signal.aborted || say(why || "Watching…") // only pocket.js says why
        const time = AbortSignal.any([signal, AbortSignal.timeout(30_000)])
        for (const look of looks) [look.answer] = await ask("look", look.picture, time, wait)
        if (!signal.aborted) judge(looks, seconds)
    } catch (error) {
        if (signal.aborted) return
        say(error instanceof TypeError || error.name == "TimeoutError" ? OFFLINE : error.message)
        await pause(AGAIN)
    } finally {
        asking = false
    }
}

// The score that keeps a visit going.
const enough = () => alarm.rule.stay * alarm.rule.threshold

// Soon after what was likely, ever more seldom after nothing.
const isDue = (track, seconds) => {
    const passed = seconds - track.looked
    if (track == whole && track.score < enough()) return passed >= WHOLE
    return passed >= Math.min(SELDOM, LOOK * 2 ** Math.max(0, track.nothing - 4))
}

// The square around a box, as far as it fits into the picture: left, top, width, height.
const square = ([left, top, width, height], ...size) => {
    const side = Math.max((1 + 2 * MARGIN) * Math.max(width, height), LEAST_SIDE * Math.min(...size))
    const [x, y] = [left + width / 2, top + height / 2].map((middle, k) =>
        Math.min(Math.max(0, middle - side / 2), Math.max(0, size[k] - side)),
    )
    return [x, y, Math.min(side, size[0] - x), Math.min(side, size[1] - y)].map(Math.round)
}

const cut = box => {
    const sides = box.slice(2),
        scale = Math.min(1, SENT / Math.max(...sides))
    return asJpeg(video, ...sides.map(side => Math.round(side * scale)), 0.9, box)
}

const judge = (looks, seconds) => {
    const alarming = [...find(".classes").querySelectorAll(":checked")].map(box => box.value)
    for (const {track, picture, answer} of looks) {
        Object.assign(track, {looked: seconds, score: score(answer.probs, answer.certainty, alarming)})
        track.nothing = track.score ? 0 : track.nothing + 1
        const seen = {at: new Date().toISOString(), score: track.score, verdict: answer.verdict, picture}
        latest.set(track.number, [...(latest.get(track.number) ?? []), seen].slice(-RULE.latest))
    }
    const numbers = new Set([0, ...tracks.all.map(track => track.number)])
    for (const number of latest.keys()) if (!numbers.has(number)) latest.delete(number)
    const isOld = seconds - whole.seen > OLD
    if (whole.score < enough()) whole.seen = seconds
    const clearest = looks.reduce((best, look) => (look.track.score > best.track.score ? look : best))
    points = [...points, [seconds, clearest.track.score]].filter(([time]) => seconds - time < 60 * MINUTES)
    shown = clearest.track
    say(clearest.answer.verdict)
    const heeded = looks.filter(({track}) => track != whole || !isOld)
    react(
        alarm.step(
            seconds,
            heeded.map(({track}) => [track.number, track.score]),
        ),
    )
}

// A frame around what the verdict is about.
const mark = () => {
    const {videoWidth, videoHeight, clientWidth, clientHeight} = video
    find(".box").hidden = !tracks.all.includes(shown)
    if (find(".box").hidden) return
    const scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight)
    const [left, top, width, height] = shown.box.map(side => side * scale)
    const [x, y] = [(clientWidth - scale * videoWidth) / 2 + left, (clientHeight - scale * videoHeight) / 2 + top]
    find(".box").style.cssText = `left: ${x}px; top: ${y}px; width: ${width}px; height: ${height}px`
}

const react = events => {
    for (const {event, track, median} of events) {
        if (event == "end") quiet()
        else {
            const looks = latest.get(track)
            const {at} = looks.at(-1)
            const {verdict, picture} = looks.reduce((best, look) => (look.score > best.score ? look : best))
            wake(`${verdict}, ${new Date(at).toLocaleTimeString([], {timeStyle: "short"})}`, picture)
            log.add({at, verdict, median, threshold: alarm.rule.threshold, looks})
        }
    }
}

const wake = (sentence, picture) => {
    find(".alarm").hidden = false
    find(".alarm p").textContent = sentence
    find(".alarm img").hidden = !picture
    if (picture) find(".alarm img").src = URL.createObjectURL(picture)
    find(".seen").focus()
    sound.play(SIREN)
    navigator.vibrate?.([800, 400, 800, 400, 800])
}

const quiet = () => {
    find(".alarm").hidden = true
    find(".alarm p").textContent = ""
    URL.revokeObjectURL(find(".alarm img").src)
    sound.stop()
}

// The scores of the last minutes, with the threshold as a line.
const draw = () => {
    find(".past").hidden = points.length < 3
    const context = strip.getContext("2d"),
        {width, height} = strip,
        now = clock(),
        style = getComputedStyle(strip)
    context.clearRect(0, 0, width, height)
    context.fillStyle = style.getPropertyValue("--color-accent") || style.color
    for (const [seconds, score] of points)
        context.fillRect(width * (1 - (now - seconds) / 60 / MINUTES), height, 3, -Math.max(2, score * height))
    context.fillStyle = style.color
    context.fillRect(0, height * (1 - alarm.rule.threshold), width, 1)
}

// A siren, which browsers allow after a tap only.
const sound = {
    prepare() {
        this.context ??= new AudioContext()
        this.context.resume()
    },
    play(seconds) {
        this.stop()
        if (!this.context || find(".mute input").checked) return
        const tone = (this.tone = this.context.createOscillator()),
            volume = this.context.createGain()
        const {currentTime: now} = this.context
        tone.type = "square"
        volume.gain.value = 0.4
        for (let i = 0; i < 2 * seconds; i++) tone.frequency.setValueAtTime(i % 2 ? 660 : 880, now + i / 2)
        tone.connect(volume).connect(this.context.destination)
        tone.start()
        tone.stop(now + seconds)
    },
    stop() {
        this.tone?.stop()
        this.tone = null
    },
}

// A phone that goes dark sees nothing. The lock is lost whenever the page is hidden.
const stayAwake = () => navigator.wakeLock?.request("screen").catch(() => null)
document.addEventListener("visibilitychange", () => {
    if (stopping && document.visibilityState == "visible") stayAwake()
})

// The events, in this browser's own storage as long as it has room; the oldest go first.
const log = {
    events: [],
    async open() {
        try {
            this.database = await done(indexedDB.open("watch", 1), request =>
                request.addEventListener("upgradeneeded", () =>
                    request.result.createObjectStore("events", {keyPath: "at"}),
                ),
            )
            this.events = (await done(this.store().getAll())).reverse()
        } catch {
            // a private window, or a frame of another site: then the page alone knows them
        }
        this.show()
    },
    store() {
        return this.database.transaction("events", "readwrite").objectStore("events")
    },
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
                // no room
                if (oldest == event) return
                await done(this.store().delete(oldest.at)).catch(() => null)
                this.events.pop()
                oldest = this.events.at(-1)
            }
        }
    },
    clear() {
        this.events = []
        if (this.database) this.store().clear()
        this.show()
    },
    show() {
        for (const image of find(".log ol").querySelectorAll("img")) URL.revokeObjectURL(image.src)
        find(".log summary").textContent = this.events.length ? `Events (${this.events.length})` : "Events"
        find(".log ol").replaceChildren(
            ...this.events.map(({at, verdict, looks}) => {
                const row = document.createElement("li"),
                    time = row.appendChild(document.createElement("strong"))
                time.textContent = `${new Date(at).toLocaleString()}: ${verdict}`
                row.appendChild(document.createElement("div")).append(
                    ...looks.map(look => {
                        const figure = document.createElement("figure"),
                            image = figure.appendChild(document.createElement("img"))
                        image.loading = "lazy" // or each alarm would load all of them anew, while nobody sees the list
                        image.src = URL.createObjectURL(look.picture)
                        image.alt = look.verdict
                        figure.append(`${Math.min(99, Math.floor(100 * look.score))}%`)
                        return figure
                    }),
                )
                return row
            }),
        )
    },
    async save() {
        const files = this.events.flatMap(({looks, ...event}) => {
            const folder = event.at.replaceAll(":", "-"),
                scores = looks.map(({picture, ...look}) => look)
            return [
                [`${folder}/event.json`, new Blob([JSON.stringify({...event, looks: scores}, null, 1)])],
                ...looks.map(({picture}, i) => [`${folder}/${i + 1}.jpg`, picture]),
            ]
        })
        const link = document.createElement("a")
        link.href = URL.createObjectURL(await zip(files))
        link.download = "events.zip"
        link.click()
        setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
    },
}

// The result of an IDBRequest; rejects when it fails.
const done = (request, prepare = () => null) =>
    new Promise((resolve, reject) => {
        prepare(request)
        request.addEventListener("success", () => resolve(request.result))
        request.addEventListener("error", () => reject(request.error))
    })

const setSensitivity = () => {
    if (alarm) alarm.rule.threshold = SENSITIVITY[find(".sensitivity").value]
}

find(".start").addEventListener("click", start)
find(".stop").addEventListener("click", stop)
find(".seen").addEventListener("click", quiet)
find(".test").addEventListener("click", () => {
    sound.prepare()
    wake("This is a test.")
})
find(".mute input").addEventListener("change", () => sound.stop())
find(".sensitivity").addEventListener("change", setSensitivity)
find(".camera").addEventListener("change", () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop() // then it is gone, and the chosen one comes
})
find(".save").addEventListener("click", () => log.save())
find(".delete").addEventListener("click", ({target}) => {
    const sure = target.textContent == "Really delete all?"
    target.textContent = sure ? "Delete all" : "Really delete all?"
    if (sure) log.clear()
})
for (const label of props.classes) {
    const box = Object.assign(document.createElement("input"), {type: "checkbox", value: label})
    box.checked = props.alarm.includes(label)
    const row = document.createElement("label")
    row.append(box, label)
    find(".classes").append(row)
}
find(".promise").textContent = navigator.mediaDevices
    ? props.promise
    : "Browsers give cameras to pages with https alone, or of this machine."
find(".start").hidden = !navigator.mediaDevices
element.dataset.state = "off"
log.open()
