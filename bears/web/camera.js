// The Camera tab: watch the browser's camera, classify what moves, and raise alarms. motion.js finds what moves. alarm.js
// and schedule.js implement the rules of docs/alarm.md. `element` contains camera.html.

import {Alarm, RULE, score} from "./alarm.js"
import {largest} from "./answer.js"
import {Crop} from "./crop.js"
import {EventList} from "./events.js"
import {Hours} from "./hours.js"
import {showDot} from "./icon.js"
import {Movement, OLD, Tracks} from "./motion.js"
import {asJpeg, clamp, contain, fit, place, showBlob, startCamera, stopCamera} from "./pictures.js"
import {Schedule, WHOLE_TRACK} from "./schedule.js"
import {Siren} from "./siren.js"
import {timeOf, WatchState} from "./state.js"
import {make, pause, Tab} from "./tab.js"
import {Zones} from "./zones.js"

const EVERY = 200 // milliseconds between two pictures
const MARGIN = 0.2 // around a box, as a share of its longer side
const LEAST_SIDE = 0.2 // the least side of a crop, as a share of the picture's shorter side
const SENT = 640 // pixels of the longer side of a crop that is sent
const SENSITIVITY = {low: 0.7, medium: RULE.threshold, high: 0.3}
const MINUTES = 5 // of scores that the strip shows
const LONG = 40 // characters; a longer sentence is shown in smaller letters
const AGAIN = 5 // seconds until the next try if the camera or the server fails
const TIMEOUT = 30 // seconds for an answer
const WATCHING = "Watching…"
const PERMISSION = "Waiting for the camera. Please allow it if the browser asks."
const NOT_WATCHING = "Not watching. Open this page again."
const PAUSING = "Leave this page open. Watching starts by itself."
const STILL_WATCHING = "🔴 Watching"
const PROOF = 10 // seconds for which a hidden page must have been watching before its title says "Watching"
const LOCKS = "If the screen locks, watching stops. Switch off the automatic lock of this device."
const CHOOSING = "Drag the frame over the part to ignore, or draw a new frame."
const TOO_MUCH = "You can't ignore the whole picture. Leave a part of it to watch."
const TOO_DARK = "Too dark to see"
const NO_CAMERA = "Can't use the camera. Allow it for this page, and close any other app that uses it."
const NO_HTTPS =
    "Browsers allow the camera only on pages whose address begins with https://." +
    " Open such an address of this app, or use the computer that runs the app."
const SIZE = {width: {ideal: 1280}, height: {ideal: 720}}

export class CameraTab extends Tab {
    whole = {number: WHOLE_TRACK} // the whole picture, as a track
    alarm = new Alarm()
    siren = new Siren()
    stopping = null // the AbortController that stops watching
    lock = null // the wake lock of the screen
    hidden = null // the time since which the page has been hidden
    state = new WatchState()
    visitor = null // the arguments for wake() if a snooze ends before the visit

    // `props` has the model's `classes`, the classes that raise an `alarm`, and sentences: `promise` says where pictures
    // are sent, `checking` is shown before an alarm, `right` is the label of a correct alarm, and `misses` says which
    // animals the camera may miss.
    constructor(element, props, backend) {
        super(element, props, backend)
        this.video = this.find("video")
        this.strip = this.find(".strip")
        this.log = new EventList(this.find(".log"), props.right)
        this.hours = new Hours(this.find(".hours"))
        this.zones = new Zones(this.find(".zones"))
        const keys = {ask: () => this.ignorePart(), cancel: () => this.endChoice()}
        this.crop = new Crop(this.find(".frame"), this.video, this.find(".part"), keys)
        this.listen()
        this.offerClasses()
        this.tickWhatIsKnown()
        if (props.misses) this.find(".misses").textContent = props.misses
        this.find(".promise").textContent = navigator.mediaDevices ? props.promise : NO_HTTPS
        this.find(".start").hidden = !navigator.mediaDevices
        element.dataset.state = "off"
    }

    listen() {
        this.on("click", ".start", () => this.start())
        this.on("click", ".stop", () => this.stop())
        this.on("click", ".seen", () => this.dismiss())
        this.on("click", ".snooze", ({target}) => target.value && this.snooze(Number(target.value)))
        this.on("click", ".resume", () => this.resume())
        this.on("click", ".mask", () => this.choosePart())
        this.on("click", ".ignore", () => this.ignorePart())
        this.on("click", ".cancel", () => this.endChoice())
        this.on("click", ".test", () => {
            this.siren.prepare()
            this.wake("This is a test.")
        })
        this.on("change", ".mute input", () => this.siren.stop())
        this.on("change", ".sensitivity", () => this.setSensitivity())
        this.on("change", ".camera", () => stopCamera(this.video)) // then run() connects the chosen camera
        document.addEventListener("visibilitychange", () => this.stopping && this.changeVisibility())
    }

    offerClasses() {
        for (const label of this.props.classes) {
            const checked = this.props.alarm.includes(label)
            const box = make("input", {type: "checkbox", value: label, checked})
            this.find(".classes").append(make("label", {}, box, this.props.names?.[label] ?? label))
        }
    }

    // Tick what the browser knows in the checklist: whether the device is charging, and whether the page can keep the
    // screen on.
    async tickWhatIsKnown() {
        this.find(".awake").checked = "wakeLock" in navigator
        const battery = await navigator.getBattery?.().catch(() => null)
        const tick = () => (this.find(".plugged").checked = battery.charging)
        if (!battery) return
        tick()
        battery.addEventListener("chargingchange", tick)
    }

    say(sentence) {
        const now = this.find(".now")
        if (this.crop.active || now.textContent == sentence) return
        now.textContent = sentence
        now.classList.toggle("long", sentence.length > LONG)
    }

    // Show a warning at the lower edge of the picture. `of` is its kind: `lock` (the screen may lock), `gap` (the page was
    // hidden) or `ignored` (too much of the picture is ignored).
    note(of, sentence = "") {
        this.find(`.${of}`).textContent = sentence
    }

    // Let the visitor choose a part of the picture in which to ignore movement.
    choosePart() {
        if (!this.video.videoWidth) return // there is no picture yet
        this.say(CHOOSING)
        this.note("ignored")
        this.element.dataset.choosing = ""
        this.crop.start()
        this.find(".part").focus({preventScroll: true})
    }

    ignorePart() {
        const {video, zones, crop} = this,
            size = [video.videoWidth, video.videoHeight]
        const enough = zones.add(crop.part)
        this.tracks.all = this.tracks.all.filter(({box}) => !zones.hides(box, ...size))
        this.note("ignored", enough ? "" : TOO_MUCH)
        this.endChoice()
    }

    endChoice() {
        delete this.element.dataset.choosing
        this.crop.stop()
        this.say(WATCHING)
        this.find(".mask").focus({preventScroll: true})
    }

    async start() {
        this.siren.prepare()
        this.say(PERMISSION)
        this.find(".start").disabled = true // a second tap would ask for the camera again
        try {
            await this.connect()
        } catch {
            return this.say(NO_CAMERA)
        } finally {
            this.find(".start").disabled = false
        }
        this.stopping = new AbortController()
        this.asking = false
        this.forgetAll()
        this.element.dataset.state = "on"
        this.say(WATCHING)
        this.find(".badge").textContent = "Watching"
        this.find(".stop").focus()
        this.stayAwake()
        this.ownTab()?.toggleAttribute("data-watching", true)
        this.run(this.stopping.signal)
    }

    forgetAll() {
        this.movement = new Movement()
        this.tracks = new Tracks()
        this.schedule = new Schedule()
        this.alarm = new Alarm()
        this.setSensitivity()
        this.state = new WatchState()
        this.visitor = null
        this.took = 0 // seconds that a pass takes at the moment
        this.latest = new Map() // the latest passes, by the number of their track
        this.points = [] // what the strip shows: [seconds, score]
        Object.assign(this.whole, {looked: -Infinity, score: 0, nothing: 0, changed: false})
    }

    stop() {
        this.stopping?.abort()
        this.stopping = null
        if (this.crop.active) this.endChoice()
        stopCamera(this.video)
        this.video.srcObject = null
        this.element.dataset.state = "off"
        delete this.element.dataset.pausing
        this.find(".box").hidden = true
        this.ownTab()?.removeAttribute("data-watching")
        this.lock?.release()
        this.endGap()
        this.note("lock")
        this.note("gap")
        this.dismiss()
        this.say("")
        this.find(".start").focus()
    }

    // Show the chosen camera, or else the rear one. Rejects if there is no camera.
    async connect() {
        const chosen = this.find(".camera").value
        const which = chosen ? {deviceId: {exact: chosen}} : {facingMode: "environment"}
        await startCamera(this.video, {...SIZE, ...which})
        await this.video.play()
        const devices = await navigator.mediaDevices.enumerateDevices()
        const cameras = devices.filter(device => device.kind == "videoinput")
        const [track] = this.video.srcObject.getVideoTracks(),
            now = track.getSettings().deviceId
        this.find(".which").hidden = cameras.length < 2
        const option = ({deviceId, label}, i) =>
            new Option(label || `Camera ${i + 1}`, deviceId, false, deviceId == now)
        this.find(".camera").replaceChildren(...cameras.map(option))
    }

    async run(signal) {
        while (!signal.aborted) {
            const began = performance.now(),
                [track] = this.video.srcObject?.getVideoTracks() ?? []
            if (track?.readyState != "live") {
                await this.reconnect()
                if (signal.aborted) this.stop() // somebody pressed "Stop" meanwhile
                continue
            }
            this.pauseOrGoOn()
            if (this.state.pausing) this.say(PAUSING)
            else if (this.video.videoWidth) this.turn(signal)
            this.draw()
            this.showState()
            await pause(Math.max(0.01, (EVERY - performance.now() + began) / 1000))
        }
    }

    // Pause outside of the hours to watch. When the hours begin, start again without old scores. The camera stays on in
    // the pause, because the browser may need a tap to start it again.
    pauseOrGoOn() {
        const until = this.hours.pauseUntil(new Date())
        if (until == this.state.pausing) return
        this.forgetAll()
        this.state.pausing = until
        this.element.toggleAttribute("data-pausing", Boolean(until))
        this.ownTab()?.toggleAttribute("data-watching", !until)
        this.find(".badge").textContent = until ? "Not watching" : "Watching"
        this.say(WATCHING)
    }

    async reconnect() {
        const badge = this.find(".badge")
        this.state.lose()
        this.showState()
        badge.textContent = "Lost the camera. Reconnecting…"
        await this.connect().then(
            () => (badge.textContent = this.state.pausing ? "Not watching" : "Watching"),
            () => pause(AGAIN),
        )
    }

    // Find what moves, and classify the tracks that the schedule chooses. Only one request is sent at a time. So a slow
    // model never falls behind, and no visitor has more than one place in the queue.
    async turn(signal) {
        const seconds = performance.now() / 1000
        this.follow(seconds)
        this.mark()
        if (this.asking) return
        const due = this.schedule.next([this.whole, ...this.tracks.all], seconds, this.alarm.enough, this.took)
        if (!due.length) return this.react(this.alarm.step(seconds))
        this.asking = true
        try {
            const looks = await this.look(due, seconds, signal)
            if (!signal.aborted) this.judge(looks, seconds)
        } catch (error) {
            if (signal.aborted) return
            this.state.lose()
            this.say(this.explain(error))
            await pause(AGAIN)
        } finally {
            this.asking = false
        }
    }

    // Find what moves in the latest picture, and update the tracks.
    follow(seconds) {
        const {whole, tracks, video} = this,
            {videoWidth: width, videoHeight: height} = video
        const boxes = this.movement.boxes(video, width, height, seconds, this.zones.all)
        tracks.join(boxes ?? [], seconds)
        tracks.forget(seconds, this.alarm.enough)
        if (seconds - whole.looked > OLD) whole.seen = seconds // the first picture, or the first after a gap
        const old = seconds - whole.seen > OLD
        Object.assign(whole, {box: [0, 0, width, height], side: Math.max(width, height), old})
        whole.changed ||= !boxes
    }

    // Classify the tracks in `due`. Return {track, at, picture, answer} for each.
    async look(due, seconds, signal) {
        // Start all crops now, so that they are from the same picture.
        const hidden = track => (track == this.whole ? this.zones.all : [])
        const looks = due.map(track => ({track, at: track.box, picture: cutOut(this.video, track.box, hidden(track))}))
        for (const look of looks) look.picture = await look.picture
        const wait = why => signal.aborted || this.say(why || WATCHING)
        const time = AbortSignal.any([signal, AbortSignal.timeout(1000 * TIMEOUT)])
        for (const look of looks) look.answer = await this.backend.classifyFrame(look.picture, time, wait)
        this.took = (performance.now() / 1000 - seconds) / looks.length
        return looks
    }

    judge(looks, seconds) {
        const {whole, tracks} = this
        const alarming = [...this.find(".classes").querySelectorAll(":checked")].map(box => box.value)
        for (const look of looks) this.remember(look, alarming, seconds)
        const numbers = new Set([WHOLE_TRACK, ...tracks.all.map(track => track.number)])
        for (const number of this.latest.keys()) if (!numbers.has(number)) this.latest.delete(number)
        if (whole.score < this.alarm.enough) whole.seen = seconds
        const clearest = looks[largest(looks.map(({track}) => track.score))]
        const recent = ([time]) => seconds - time < 60 * MINUTES
        this.points = [...this.points, [seconds, clearest.track.score]].filter(recent)
        this.shown = clearest.track
        const pairs = looks.filter(({track}) => !track.old).map(({track}) => [track.number, track.score])
        this.react(this.alarm.step(seconds, pairs, this.took))
        this.say(this.inWords(clearest))
        if (this.hasNewPicture()) this.state.answer(Date.now(), this.movement.dark && !clearest.track.score)
    }

    // Return whether the camera has sent a picture since the last call. A hidden page may get none.
    hasNewPicture() {
        const {totalVideoFrames} = this.video.getVideoPlaybackQuality(),
            isNew = totalVideoFrames != this.frames
        this.frames = totalVideoFrames
        return isNew
    }

    remember({track, at, picture, answer}, alarming, seconds) {
        Object.assign(track, {looked: seconds, lookedAt: at, changed: false})
        track.score = score(answer.probs, answer.certainty, alarming, answer.group)
        track.nothing = track.score ? 0 : track.nothing + 1
        const {verdict, earned} = answer
        const seen = {at: new Date().toISOString(), score: track.score, verdict, earned, picture}
        this.latest.set(track.number, this.alarm.keep([...(this.latest.get(track.number) ?? []), seen]))
    }

    // Return the sentence to show after an answer of the model.
    inWords({track, answer}) {
        const {threshold} = this.alarm.rule
        const suspicious = [this.whole, ...this.tracks.all].some(({score, old}) => score >= threshold && !old)
        if (suspicious && this.alarm.visit === null) return this.props.checking
        return this.movement.dark && !track.score ? TOO_DARK : answer.verdict
    }

    // Draw a frame around the track that the verdict is about. Put the ignored parts where they are in the picture.
    mark() {
        const video = contain(this.video, this.video.videoWidth, this.video.videoHeight)
        const box = this.find(".box")
        place(this.find(".zones"), video)
        box.hidden = !this.tracks.all.includes(this.shown)
        if (box.hidden) return
        const [left, top, width, height] = this.shown.box.map(side => side * video.scale)
        place(box, {left: video.left + left, top: video.top + top, width, height})
    }

    react(events) {
        for (const {event, track, median} of events) {
            if (event == "end") {
                this.leave()
                continue
            }
            const looks = this.latest.get(track)
            const {at} = looks.at(-1)
            const {verdict, picture} = looks[largest(looks.map(look => look.score))]
            this.state.alarmed = Date.now()
            this.visitor = [`${verdict}, ${timeOf(new Date(at))}`, picture]
            if (!this.state.snoozed) this.wake(...this.visitor)
            this.log.add({at, verdict, median, threshold: this.alarm.rule.threshold, looks})
        }
    }

    wake(sentence, picture) {
        if (!this.element.checkVisibility()) this.ownTab()?.click() // or the Photo tab would hide the alarm
        this.find(".large").close() // the enlarged picture would cover the alarm
        this.find(".alarm").hidden = false
        this.find(".alarm p").textContent = sentence
        this.find(".alarm img").hidden = !picture
        showBlob(this.find(".alarm img"), picture)
        this.find(".seen").focus()
        if (!this.find(".mute input").checked) this.siren.play()
        navigator.vibrate?.([800, 400, 800, 400, 800])
        this.markTitle()
    }

    quiet() {
        this.find(".alarm").hidden = true
        this.find(".alarm p").textContent = ""
        showBlob(this.find(".alarm img"))
        this.siren.stop()
        this.markTitle()
    }

    // Stop the alarm. The current visit raises no other alarm.
    dismiss() {
        this.visitor = null
        this.quiet()
    }

    // End the visit.
    leave() {
        this.state.endVisit()
        this.dismiss()
    }

    // Raise no alarm for some minutes, but still add events to the list.
    snooze(minutes) {
        this.state.snoozed = Date.now() + 60_000 * minutes
        this.quiet()
        this.showState()
        this.find(".resume").focus()
    }

    // End a snooze. If the latest visit still goes on, raise an alarm at once.
    resume() {
        this.state.snoozed = 0
        if (this.visitor) this.wake(...this.visitor)
        else if (document.activeElement == this.find(".resume")) this.find(".stop").focus()
    }

    // Show the state of the watch in large letters.
    showState() {
        const now = Date.now(),
            {state} = this
        if (state.snoozed && now >= state.snoozed) this.resume()
        const sentence = state.inWords(now)
        if (this.find(".state").textContent != sentence) this.find(".state").textContent = sentence
        this.find(".resume").hidden = !state.snoozed
        this.markTitle()
    }

    // Show an alarm in the page's title, which browsers show even while another page is open. While this page is hidden,
    // the title says whether the page is watching. If it is hidden and watching, its icon is a red dot.
    markTitle() {
        this.title ??= document.title
        const alarm = this.find(".alarm p").textContent
        const {state} = this
        const watches = state.isWatching(Date.now()) && state.answered - this.hidden > 1000 * PROOF
        const pausing = state.pausing ? state.inWords(Date.now()) : NOT_WATCHING
        const hidden = this.hidden && (watches ? STILL_WATCHING : pausing)
        const title = alarm ? `🚨 ${alarm}` : hidden || this.title
        if (document.title != title) document.title = title
        showDot(Boolean(this.hidden && watches))
    }

    // Draw the scores of the last minutes, with the threshold as a line.
    draw() {
        const context = this.strip.getContext("2d"),
            {width, height} = this.strip,
            now = performance.now() / 1000,
            style = getComputedStyle(this.strip)
        context.clearRect(0, 0, width, height)
        context.fillStyle = style.getPropertyValue("--color-accent") || style.color
        for (const [seconds, score] of this.points)
            context.fillRect(width * (1 - (now - seconds) / 60 / MINUTES), height, 3, -Math.max(2, score * height))
        context.fillStyle = style.color
        context.fillRect(0, height * (1 - this.alarm.rule.threshold), width, 1)
    }

    setSensitivity() {
        this.alarm.rule.threshold = SENSITIVITY[this.find(".sensitivity").value]
    }

    // Return the button that opens this tab. Find it by its position, since Gradio's buttons don't name their panels.
    ownTab() {
        const panel = this.element.closest("[role=tabpanel]"),
            all = panel?.parentElement
        const at = all && [...all.querySelectorAll(":scope > [role=tabpanel]")].indexOf(panel)
        return all?.querySelectorAll("[role=tab]")[at]
    }

    // Keep the screen on, since a locked phone stops watching. The browser ends this wake lock whenever the page is hidden.
    async stayAwake() {
        this.lock = await navigator.wakeLock?.request("screen").catch(() => null)
        if (!this.stopping) return this.lock?.release()
        this.note("lock", this.lock ? "" : LOCKS)
        this.lock?.addEventListener("release", () => this.stopping && this.note("lock", LOCKS))
    }

    // React when the page is hidden or shown again. Browsers give a hidden page few pictures or none. So the title of a
    // hidden page says whether the page is still watching. When the page is shown again, it shows a warning.
    changeVisibility() {
        if (document.visibilityState == "hidden") {
            this.hidden = new Date()
            this.markTitle()
        } else {
            this.endGap()
            this.stayAwake()
        }
    }

    endGap() {
        if (!this.hidden) return
        const gap = `${timeOf(this.hidden)} to ${timeOf(new Date())}`
        this.note("gap", `This page was hidden from ${gap}, so it may have missed something.`)
        this.hidden = null
        this.state.quiet = null
        this.markTitle()
    }
}

// Return a square around a box, moved into the picture if it would be partly outside: left, top, width, height.
const square = ([left, top, width, height], ...size) => {
    const side = Math.max((1 + 2 * MARGIN) * Math.max(width, height), LEAST_SIDE * Math.min(...size))
    const [x, y] = [left + width / 2, top + height / 2].map((middle, k) => clamp(middle - side / 2, 0, size[k] - side))
    return [x, y, Math.min(side, size[0] - x), Math.min(side, size[1] - y)].map(Math.round)
}

// Return a square around a box of the picture as a JPEG. The parts in `hidden` become grey.
const cutOut = (video, box, hidden) => {
    const part = square(box, video.videoWidth, video.videoHeight)
    return asJpeg(video, ...fit(SENT, part[2], part[3]), 0.9, part, hidden)
}
