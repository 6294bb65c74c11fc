// The script of the review page. gr.HTML runs it after it has put page.html into `element`.
const PAGE = 12,
    AHEAD = 4 // photos on a page, and large photos that are loaded before they are chosen
const DONE = {keep: "kept", "set aside": "set aside", move: "moved to "}
const GROUPS = {
    "look wrong": "Photos that look wrong",
    "near-duplicates": "Near-duplicates",
    "look right": "Photos that look right",
}
const part = id => element.querySelector("#" + id)
const wait = seconds => new Promise(resolve => setTimeout(resolve, 1000 * seconds))

let labels = [],
    train = "",
    photos = [],
    pages = [],
    at = 0,
    chosen = null,
    ticked = new Set(),
    wide = new Map()
let taken = [] // a list of names for each key or click that Undo can take back
let unsent = [],
    sending = false,
    offline = false
let stale = null // the photo to show after everything is loaded again, or null if nothing must be loaded

const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties)
    node.append(...children)
    return node
}
const address = (name, size) => `photo?size=${size}&name=${encodeURIComponent(name)}`
const file = name => name.split("/").pop()
const count = (n, word) => `${n} ${word}${n == 1 ? "" : "s"}`
const open = list => list.filter(photo => !photo.done)
const reveal = id => part(id).scrollIntoView({block: "nearest"}) // on a phone, the part may be outside of the screen
const say = text => (part("message").textContent = text)

function decoded(text) {
    try {
        return decodeURIComponent(text)
    } catch {
        return text // not an encoded name, for example if somebody has typed the folder 100% into the address
    }
}

// Data from the program

async function load(name) {
    let state
    for (;;) {
        try {
            state = await (await fetch("review")).json()
            if (state.labels) break
            const [read, all] = state.read
            part("progress").hidden = false
            if (all) Object.assign(part("progress"), {max: all, value: read})
            part("summary").textContent = !all
                ? "Finding the photos…"
                : read < all
                  ? `Reading the photos: ${read} of ${all}…`
                  : `All ${all} photos are read. Looking for mistakes…`
        } catch {
            part("summary").textContent = "Lost contact with “bears clean”. Is it still running in your terminal?"
        }
        await wait(0.5)
    }
    if (!unsent.length) show(state, name)
}

function show(state, name) {
    ;({labels, photos, train} = state)
    taken = state.steps.map(name => [name])
    pages = labels.flatMap(label =>
        Object.keys(GROUPS).flatMap(group => {
            const some = photos.filter(photo => photo.label == label && photo.group == group)
            return Array.from({length: Math.ceil(some.length / PAGE)}, (_, i) => some.slice(i * PAGE, (i + 1) * PAGE))
        }),
    )
    stale = null
    ticked.clear()
    wide.clear()
    part("progress").hidden = true
    part("review").hidden = false
    part("labels").replaceChildren(...labels.map(label => make("button", {onclick: () => turn(firstOf(label))})))
    part("move").replaceChildren(
        ...labels.map((label, i) =>
            make(
                "button",
                {
                    onclick: () => act("move", label),
                    ariaKeyShortcuts: i < 9 ? i + 1 : null,
                    ariaLabel: `Move to ${label}`,
                },
                ...(i < 9 ? [make("kbd", {textContent: i + 1}), " "] : []),
                `→ ${label}`,
            ),
        ),
        ...(labels.length > 9 ? [select()] : []),
    )
    const photo = find(name),
        worst = pages.findIndex(page => page[0].group == "look wrong")
    turn(photo ? pages.findIndex(page => page.includes(photo)) : worst)
    if (photo) choose(photo)
}

const find = name => photos.find(photo => photo.name == name)

function firstOf(label) {
    const own = pages.filter(page => page[0].label == label)
    return own.length ? pages.indexOf(own.find(page => open(page).length) ?? own[0]) : at
}

function select() {
    const more = make(
        "select",
        {ariaLabel: "Move to another class"},
        make("option", {value: "", textContent: "Move to…"}),
        ...labels.slice(9).map(label => make("option", {textContent: label})),
    )
    more.onchange = () => {
        act("move", more.value)
        more.value = ""
        more.blur()
    }
    return more
}

// The chosen photo

// Page -1 has no photos. It is shown if nothing looks wrong, so that keys do nothing until a photo is chosen.
function turn(page) {
    at = Math.max(-1, Math.min(page, pages.length - 1))
    ticked.clear()
    chosen = pages[at]?.find(photo => !photo.done) ?? null
    part("grid").replaceChildren(...(pages[at] ?? []).map(thumb))
    update()
}

function choose(photo) {
    if (!pages[at]?.includes(photo)) turn(pages.findIndex(page => page.includes(photo)))
    chosen = photo
    update()
}

function step(by) {
    const page = pages[at] ?? []
    let i = page.indexOf(chosen) + by
    while (page[i]?.done) i += Math.sign(by)
    if (page[i]) choose(page[i])
    else if (Math.abs(by) == 1 && nextPage(by)) {
        turn(pages.indexOf(nextPage(by)))
        if (by < 0 && chosen) choose(open(pages[at]).pop())
    }
}

function nextPage(by) {
    const group = pages.filter(page => page[0].group == pages[at]?.[0].group)
    return group[group.indexOf(pages[at]) + by]
}

// Choose the next photo on the page, or else the next page of the same group in any class. Stop after the last page of
// the group, so that keys which somebody has already pressed don't change photos of another group.
function goOn() {
    const page = pages[at],
        rest = open(page)
    if (rest.length) return choose(rest.find(photo => page.indexOf(photo) > page.indexOf(chosen)) ?? rest[0])
    const round = [...pages.slice(at + 1), ...pages.slice(0, at)]
    const next = round.find(some => some[0].group == page[0].group && open(some).length)
    if (next) turn(pages.indexOf(next))
    else {
        chosen = null
        update()
        reveal("end")
    }
}

function tick(photo, on = !ticked.has(photo)) {
    on ? ticked.add(photo) : ticked.delete(photo)
    update()
}

// Steps

function act(action, goal = "") {
    take(ticked.size ? pages[at].filter(photo => ticked.has(photo)) : chosen ? [chosen] : [], action, goal)
}

function take(some, action, goal = "") {
    if (!some.length) return
    say("")
    for (const photo of some) {
        const stays = action == "keep" || goal == photo.label
        photo.done = stays ? DONE.keep : DONE[action] + goal
        unsent.push(stays ? {action: "keep", name: photo.name} : {action, name: photo.name, goal})
    }
    taken.push(some.map(photo => photo.name))
    ticked.clear()
    goOn()
    send()
}

function undo() {
    const names = taken.pop()
    say(names ? "" : "There is nothing to undo.")
    if (!names) return
    for (const name of [...names].reverse()) {
        const photo = find(name)
        if (photo) photo.done = null
        unsent.push({action: "undo", name})
    }
    if (find(names[0])) choose(find(names[0]))
    else stale = names[0] // the step was done before this page was opened
    send()
}

// Send all new steps in order, with one request at a time. Keep each step until the server has answered.
async function send() {
    if (sending) return
    sending = true
    while (unsent.length || stale) {
        try {
            if (unsent.length) await sendSome(unsent.slice(0, 100))
            else await load(stale)
            offline = false
        } catch {
            offline = true
            await wait(1)
        }
        update()
    }
    sending = false
}

async function sendSome(steps) {
    const headers = {"content-type": "application/json"}
    const answer = await fetch("decide", {method: "POST", headers, body: JSON.stringify(steps)})
    if (!answer.ok) throw answer.status
    const refused = await answer.json()
    unsent.splice(0, steps.length)
    if (!refused.length) return
    say(refused.join(" "))
    stale ??= chosen?.name ?? "none"
}

// Drawing

function thumb(photo) {
    const box = make("input", {type: "checkbox", ariaLabel: `Select ${file(photo.name)}`})
    box.onchange = () => tick(photo, box.checked)
    const picture = make("img", {src: address(photo.name, "small"), alt: "", loading: "lazy"})
    const why = photo.nearDuplicate ? photo.opinion.replace(photo.nearDuplicate, "another") : photo.opinion
    const button = make("button", {title: photo.name}, picture, make("span", {className: "why", textContent: why}))
    button.onclick = () => {
        choose(photo)
        reveal("shown")
    }
    const item = make("li", {}, button, make("label", {className: "tick"}, box), make("span", {className: "done"}))
    return Object.assign(item, {photo, box, button})
}

function update() {
    const wrong = open(photos).filter(photo => photo.group == "look wrong"),
        left = open(photos).length
    const copies = open(photos).filter(photo => photo.group == "near-duplicates").length
    part("summary").replaceChildren(
        ...(wrong.length
            ? [
                  make("b", {textContent: `${count(wrong.length, "photo")} look${wrong.length == 1 ? "s" : ""} wrong`}),
                  "; you can stop after these. ",
              ]
            : [
                  make("b", {textContent: left ? "Nothing looks wrong any more" : "You have reviewed every photo"}),
                  left ? "; you can stop here. " : ". ",
              ]),
        left
            ? `There are also ${count(copies, "near-duplicate")} and ${left - wrong.length - copies} photos that look right. `
            : "",
        make("span", {className: "aside", textContent: "Nothing is deleted, and every step can be undone."}),
    )
    labels.forEach((label, i) => {
        const n = wrong.filter(photo => photo.label == label).length,
            button = part("labels").children[i]
        button.replaceChildren(
            label,
            make("small", {textContent: n ? `${n} look${n == 1 ? "s" : ""} wrong` : "none looks wrong"}),
        )
        button.ariaCurrent = pages[at]?.[0].label == label ? "true" : null
    })
    updateDesk()
    updateEnd()
    updateGrid()
    part("unsaved").textContent = !offline
        ? ""
        : `${count(unsent.length, "step")} not saved yet. Is “bears clean” still running? Leave this page open.`
}

function updateDesk() {
    const some = ticked.size ? [...ticked] : chosen ? [chosen] : [],
        one = ticked.size ? null : chosen
    part("shown").className = ticked.size ? "several" : ""
    part("shown").replaceChildren(
        ...(!one
            ? some.slice(0, 6).map(photo => make("img", {src: address(photo.name, "small"), alt: ""}))
            : [
                  large(one.name, "The chosen photo"),
                  ...(one.nearDuplicate ? [large(one.nearDuplicate, "The better of the two near-duplicates")] : []),
              ]),
    )
    part("opinion").replaceChildren(
        ...(ticked.size
            ? [make("b", {textContent: count(ticked.size, "photo")}), " selected. The buttons apply to all of them."]
            : one
              ? [
                    make("b", {textContent: one.opinion}),
                    make("span", {
                        textContent:
                            one.name + (one.action && ` · suggested: ${one.action}${one.goal && ` to ${one.goal}`}`),
                    }),
                ]
              : ["You have reviewed every photo on this page."]),
    )
    const same = key => (new Set(some.map(photo => photo[key])).size == 1 ? some[0][key] : null)
    const action = same("action"),
        goal = same("goal"),
        label = same("label")
    const mark = (button, on) => {
        button.disabled = !some.length
        button.classList.toggle("suggested", on)
    }
    mark(part("keep"), action == "keep")
    mark(part("aside"), action == "set aside")
    ;[...part("move").querySelectorAll("button")].forEach((button, i) => {
        button.hidden = labels[i] == label || (i >= 9 && goal != labels[i])
        mark(button, action == "move" && goal == labels[i])
    })
    part("undo").disabled = !taken.length
    const page = pages[at] ?? [],
        next = page.slice(page.indexOf(chosen) + 1)
    for (const photo of open(next).slice(0, AHEAD)) wide.has(photo.name) || large(photo.name)
}

// When all photos of a group are done, show what to do next.
function updateEnd() {
    const group = pages[at]?.[0].group ?? "look wrong",
        left = open(photos),
        over = !chosen && !ticked.size && !left.some(photo => photo.group == group)
    part("end").hidden = !over
    part("shown").hidden = part("opinion").hidden = over
    if (!over) return
    const wrong = left.some(photo => photo.group == "look wrong")
    part("ended").textContent = wrong
        ? `${GROUPS[group]}: all are done.`
        : taken.length
          ? "You have reviewed all photos that look wrong."
          : "No photo looks wrong."
    part("how").textContent = wrong ? "" : taken.length ? "Now train again:" : "Now train:"
    part("command").hidden = wrong
    part("train").textContent = train
    part("groups").replaceChildren(
        ...Object.keys(GROUPS).flatMap(group => {
            const n = left.filter(photo => photo.group == group).length,
                first = pages.findIndex(page => page[0].group == group && open(page).length)
            return n ? [make("button", {textContent: `${GROUPS[group]} (${n})`, onclick: () => turn(first)})] : []
        }),
    )
    part("others").hidden = !part("groups").children.length
}

// Keep an element for each large photo. So a photo that was loaded ahead appears at once, and always with its own name.
function large(name, alt = "") {
    const picture = wide.get(name) ?? make("img", {src: address(name, "large")})
    wide.delete(name)
    wide.set(name, picture)
    if (wide.size > 50) wide.delete(wide.keys().next().value)
    return Object.assign(picture, {alt})
}

function updateGrid() {
    const page = pages[at] ?? [],
        rest = open(page)
    const group = page.length
        ? photos.filter(photo => photo.label == page[0].label && photo.group == page[0].group)
        : []
    const first = group.indexOf(page[0]) + 1
    part("where").textContent = page.length
        ? `${page[0].label}: ${first} to ${first + page.length - 1} of ${group.length} that ${page[0].group == "near-duplicates" ? "are " : ""}${page[0].group}`
        : ""
    part("all").disabled = !rest.length
    part("previous").disabled = at <= 0
    part("next").disabled = at >= pages.length - 1
    for (const item of part("grid").children) {
        const {photo, box, button} = item
        item.className = photo.done ? "over" : photo == chosen ? "chosen" : ""
        item.querySelector(".done").textContent = photo.done ?? ""
        button.ariaCurrent = photo == chosen ? "true" : null
        box.checked = ticked.has(photo)
        button.disabled = box.disabled = Boolean(photo.done)
    }
}

// Keys and buttons

const columns = () => getComputedStyle(part("grid")).gridTemplateColumns.split(" ").length
const KEYS = {
    k: () => act("keep"),
    s: () => act("set aside"),
    u: undo,
    a: () => take(open(pages[at] ?? []), "keep"),
    x: () => chosen && tick(chosen),
    Escape: () => {
        ticked.clear()
        update()
    },
}
const ARROWS = {
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    ArrowUp: () => step(-columns()),
    ArrowDown: () => step(columns()),
}

document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.isComposing || !photos.length) return
    if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return
    const digit = event.code.match(/^(?:Digit|Numpad)([1-9])$/)?.[1]
    // On keyboards without Latin letters, use the position of the key.
    const key =
        event.key.length > 1
            ? event.key
            : /[a-z]/i.test(event.key)
              ? event.key.toLowerCase()
              : event.code.slice(3).toLowerCase()
    const run =
        ARROWS[event.key] ??
        (event.repeat ? null : digit ? labels[digit - 1] && (() => act("move", labels[digit - 1])) : KEYS[key])
    if (!run) return
    event.preventDefault()
    run()
})
part("keep").onclick = KEYS.k
part("aside").onclick = KEYS.s
part("undo").onclick = KEYS.u
part("all").onclick = KEYS.a
part("copy").onclick = async () => {
    getSelection().selectAllChildren(part("train"))
    await navigator.clipboard.writeText(train)
    part("copy").textContent = "Copied"
    setTimeout(() => (part("copy").textContent = "Copy"), 2000)
}
part("previous").onclick = () => {
    turn(at - 1)
    reveal("head")
}
part("next").onclick = () => {
    turn(at + 1)
    reveal("head")
}
window.addEventListener("beforeunload", event => unsent.length && event.preventDefault())
load(decoded(location.hash.slice(1)))
