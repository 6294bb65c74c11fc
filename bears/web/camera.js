// Camp watch: the browser's camera, what moves before it, what the model says of that, and the rules of docs/alarm.md.
// `ask` is that of server.js, the rules are in alarm.js and schedule.js, and what moves in motion.js. `element` is what
// camera.html has made; `props` are the model's `classes`, those that `alarm`, `promise`, which says where pictures go, and
// `checking`, what it says before an alarm.

const EVERY = 200 // milliseconds from picture to picture
const MARGIN = 0.2 // of a box's longer side, on all sides
const LEAST_SIDE = 0.2 // of the picture's shorter side, is cut out at least
const SENT = 640 // pixels of the longer side of what the model is shown
const SENSITIVITY = {low: 0.7, medium: RULE.threshold, high: 0.3}
const MINUTES = 5 // of the strip
const SIREN = 60 // seconds
const LONG = 40 // characters of a sentence that is written smaller
const AGAIN = 5 // seconds until the camera, or the server, is tried again
const MAX_EVENTS = 100
const DISARM = 5 // seconds in which a second tap deletes all events
const REALLY = "Really delete all?"
const PERMISSION = "Waiting for the camera. Please allow it if the browser asks."
const NOT_WATCHING = "Not watching: open this page again"
const LOCKS = "The screen may lock, and then nothing is watched: switch off the automatic lock of this device."
const TOO_DARK = "Too dark to see"
const NO_CAMERA = "The camera cannot be used. Please allow it for this page, and see that no other program has it."

const find = name => element.querySelector(name)
const video = find("video"),
    strip = find(".strip")
const clock = () => performance.now() / 1000
const whole = {number: 0} // the whole picture, as a track
let stopping = null // aborts all that is going on while it watches
let movement, tracks, schedule, alarm, asking, took, latest, points, shown

const say = sentence => {
    if (find(".now").textContent == sentence) return
    find(".now").textContent = sentence
    find(".now").classList.toggle("long", sentence.length > LONG)
}

const start = async () => {
    sound.prepare()
    say(PERMISSION)
    find(".start").disabled = true // a second tap would ask for the camera a second time
    try {
        await connect()
    } catch {
        return say(NO_CAMERA)
    } finally {
        find(".start").disabled = false
    }
    stopping = new AbortController()
    movement = new Movement()
    tracks = new Tracks()
    schedule = new Schedule()
    alarm = new Alarm()
    took = 0 // seconds, for each look, lately
    latest = new Map()
    points = []
    asking = false
    setSensitivity()
    Object.assign(whole, {looked: -Infinity, score: 0, nothing: 0, changed: false})
    element.dataset.state = "on"
    say("Watching…")
    find(".badge").textContent = "Watching"
    find(".stop").focus()
    stayAwake()
    ownTab()?.toggleAttribute("data-watching", true)
    run(stopping.signal)
}

const stop = () => {
    stopping?.abort()
    stopping = null
    for (const track of video.srcObject?.getTracks() ?? []) track.stop()
    video.srcObject = null
    element.dataset.state = "off"
    find(".box").hidden = true
    ownTab()?.removeAttribute("data-watching")
    lock?.release()
    hidden.end()
    note("lock")
    note("gap")
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

// See what moves, and show the model what the schedule says. One question at a time, so that a slow model never falls
// behind, and no visitor takes more than a place.
const turn = async signal => {
    const {videoWidth: width, videoHeight: height} = video,
        seconds = clock()
    const boxes = movement.boxes(video, width, height, seconds)
    tracks.join(boxes ?? [], seconds)
    tracks.forget(seconds, enough())
    if (seconds - whole.looked > OLD) whole.seen = seconds // it has just begun, or begins again after a gap
    Object.assign(whole, {box: [0, 0, width, height], side: Math.max(width, height), old: seconds - whole.seen > OLD})
    whole.changed ||= !boxes
    mark()
    if (asking) return
    const due = schedule.next([whole, ...tracks.all], seconds, enough(), took)
    if (!due.length) return react(alarm.step(seconds))
    asking = true
    try {
        // All are cut out now, before the next picture comes.
        const looks = due.map(track => ({track, at: track.box, picture: cut(square(track.box, width, height))}))
        for (const look of looks) look.picture = await look.picture
        const wait = why => signal.aborted || say(why || "Watching…") // only offline.js says why
        const time = AbortSignal.any([signal, AbortSignal.timeout(30_000)])
        for (const look of looks) [look.answer] = await ask("look", look.picture, time, wait)
        took = (clock() - seconds) / looks.length
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
    for (const {track, at, picture, answer} of looks) {
        Object.assign(track, {looked: seconds, lookedAt: at, changed: false})
        track.score = score(answer.probs, answer.certainty, alarming, answer.group)
        track.nothing = track.score ? 0 : track.nothing + 1
        const {verdict, earned} = answer
        const seen = {at: new Date().toISOString(), score: track.score, verdict, earned, picture}
        latest.set(track.number, [...(latest.get(track.number) ?? []), seen].slice(-RULE.latest))
    }
    const numbers = new Set([0, ...tracks.all.map(track => track.number)])
    for (const number of latest.keys()) if (!numbers.has(number)) latest.delete(number)
    if (whole.score < enough()) whole.seen = seconds
    const clearest = looks.reduce((best, look) => (look.track.score > best.track.score ? look : best))
    points = [...points, [seconds, clearest.track.score]].filter(([time]) => seconds - time < 60 * MINUTES)
    shown = clearest.track
    const pairs = looks.filter(({track}) => !track.old).map(({track}) => [track.number, track.score])
    react(alarm.step(seconds, pairs, took))
    say(inWords(clearest))
}

// Return the sentence that the status shows when the model has answered.
const inWords = ({track, answer}) => {
    const suspicious = [whole, ...tracks.all].some(({score, old}) => score >= alarm.rule.threshold && !old)
    if (suspicious && alarm.visit === null) return props.checking
    return movement.dark && !track.score ? TOO_DARK : answer.verdict
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
            wake(`${verdict}, ${timeOf(new Date(at))}`, picture)
            log.add({at, verdict, median, threshold: alarm.rule.threshold, looks})
        }
    }
}

const wake = (sentence, picture) => {
    if (!element.checkVisibility()) ownTab()?.click() // or the alarm would be behind the other tab
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

// The button of the page's tab in which the watch is: Gradio's buttons do not name what they control.
const ownTab = () => {
    const panel = element.closest("[role=tabpanel]"),
        all = panel?.parentElement
    const at = all && [...all.querySelectorAll(":scope > [role=tabpanel]")].indexOf(panel)
    return all?.querySelectorAll("[role=tab]")[at]
}

// Say below the picture, of the `lock` of the screen or of a `gap`, what may be missed.
const note = (of, sentence = "") => (find(`.${of}`).textContent = sentence)

// A phone that goes dark sees nothing. The lock is lost whenever the page is hidden.
let lock = null
const stayAwake = async () => {
    lock = await navigator.wakeLock?.request("screen").catch(() => null)
    if (!stopping) return lock?.release()
    note("lock", lock ? "" : LOCKS)
    lock?.addEventListener("release", () => stopping && note("lock", LOCKS))
}

// Browsers give a page that is hidden few pictures or none: its title says so meanwhile, and the page afterwards.
const hidden = {
    begin() {
        this.since = new Date()
        this.title = document.title
        document.title = NOT_WATCHING
    },
    end() {
        if (!this.since) return
        document.title = this.title
        note(
            "gap",
            `This page was hidden from ${timeOf(this.since)} to ${timeOf(new Date())}: it may have missed something.`,
        )
        this.since = null
    },
}
const timeOf = date => date.toLocaleTimeString([], {timeStyle: "short"})
document.addEventListener("visibilitychange", () => {
    if (!stopping) return
    if (document.visibilityState == "hidden") return hidden.begin()
    hidden.end()
    stayAwake()
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
                        figure.append(`${Math.floor(100 * Math.min(0.99, look.earned ?? 1, look.score))}%`)
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
const askToDelete = really => (find(".delete").textContent = really ? REALLY : "Delete all")
let disarming
find(".delete").addEventListener("click", ({target}) => {
    const sure = target.textContent == REALLY
    askToDelete(!sure)
    clearTimeout(disarming)
    if (sure) log.clear()
    else disarming = setTimeout(askToDelete, 1000 * DISARM)
})
find(".delete").addEventListener("blur", () => askToDelete(false))
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
