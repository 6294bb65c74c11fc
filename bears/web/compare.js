// Show how to check an answer: list the signs of each class in question, next to an example of the class. A tap on the
// example shows it side by side with the visitor's photo, with a number at each sign.

import {clamp} from "./pictures.js"
import {make} from "./tab.js"

export class Compare {
    // `element` contains page.html. `props` and `backend` are those of the Photo tab, and `photo` is the <img> of the photo.
    constructor(element, props, backend, photo) {
        this.list = element.querySelector(".check")
        this.dialog = element.querySelector(".compare")
        this.photo = photo
        this.hints = props.hints ?? {}
        this.marks = props.marks ?? {}
        this.examples = props.examples.map(([path, name]) => {
            const label = nameOf(path)
            const src = new URL(backend.addressOf(path), document.baseURI).href
            const choice = make("button", {onclick: () => this.choose(label)}, name)
            return {label, name, src, choice, signs: this.hints[label]?.[label]}
        })
        this.find(".choices").append(...this.examples.filter(({signs}) => signs).map(({choice}) => choice))
        this.find(".close").addEventListener("click", () => this.dialog.close())
        this.find(".other").addEventListener("load", () => this.drawMarks())
    }

    find(name) {
        return this.dialog.querySelector(name)
    }

    // List the signs of the classes in `rows`, the first [label, probability] pairs of an answer.
    show(rows) {
        const signs = rows.flatMap(([label]) => Object.entries(this.hints[label] ?? {}))
        const examples = signs.map(([label]) => this.examples.find(each => each.label == label))
        const isOther = example => example && example.src != this.photo.src
        const items = signs.map(([, sentence], i) => {
            const text = make("span", {}, i ? "" : make("b", {}, "Check: "), sentence)
            const pictures = examples[i] && examples.some(isOther) ? [this.createPicture(examples[i])] : []
            return make("li", {}, ...pictures, text)
        })
        this.list.replaceChildren(...items)
    }

    // Create a button that opens the comparison with an example, or only a picture if the photo is the example itself.
    createPicture({label, name, src}) {
        const open = () => {
            this.find(".mine").src = this.photo.src
            this.choose(label)
            this.dialog.showModal()
        }
        const image = make("img", {src, alt: "", crossOrigin: "anonymous"})
        if (src == this.photo.src) return make("div", {}, image, make("span", {}, "This photo"))
        const caption = make("span", {}, "Compare")
        return make("button", {ariaLabel: `Compare with the example: ${name}`, onclick: open}, image, caption)
    }

    // Show the example of a class next to the visitor's photo.
    choose(label) {
        for (const each of this.examples) each.choice.ariaPressed = String(each.label == label)
        const {name, src, signs} = this.examples.find(each => each.label == label)
        const sentence = String(signs)
        const found = findMarks(sentence, this.marks[label] ?? {})
        this.points = found.map(({point}) => point)
        this.find(".marks").replaceChildren() // until the example has loaded
        this.find(".other").src = src
        this.find(".name").textContent = `Example: ${name}`
        this.find(".signs").replaceChildren(...number(sentence, found))
    }

    // Draw the numbers on the example. A line leads from each sign to its number, which is nearer to the picture's edge.
    drawMarks() {
        const {naturalWidth: width, naturalHeight: height} = this.find(".other")
        const radius = Math.max(width, height) / 24
        const nodes = this.points.flatMap(([x, y], i) => {
            const from = [x * width, y * height]
            const away = [from[0] - width / 2, from[1] - height / 2]
            const step = (2.5 * radius) / (Math.hypot(...away) || 1)
            const [cx, cy] = [width, height].map((side, j) => clamp(from[j] + step * away[j], radius, side - radius))
            const number = draw("text", {x: cx, y: cy, "font-size": 1.4 * radius})
            number.textContent = i + 1
            const line = draw("line", {x1: from[0], y1: from[1], x2: cx, y2: cy})
            return [
                line,
                draw("circle", {cx: from[0], cy: from[1], r: radius / 4}),
                draw("circle", {cx, cy, r: radius}),
                number,
            ]
        })
        this.find(".marks").setAttribute("viewBox", `0 0 ${width} ${height}`)
        this.find(".marks").replaceChildren(...nodes)
    }
}

// Return the marks whose words are in a sentence, in the sentence's order, as {end, point}. `end` is the position behind the
// words. `marks` says where on the example each sign is: it is an object from words to [x, y] in fractions of the picture.
const findMarks = (sentence, marks) => {
    const all = Object.entries(marks).map(([words, point]) => ({end: endOf(words, sentence), point}))
    return all.filter(({end, point}) => end && isPoint(point)).sort((a, b) => a.end - b.end)
}

// Return a sentence with a number behind the words of each mark in `found`, as a list of nodes.
const number = (sentence, found) => {
    const pieces = [0, ...found.map(({end}) => end)].map((start, i) => sentence.slice(start, found[i]?.end))
    return pieces.flatMap((piece, i) => [...(i ? [make("b", {ariaHidden: "true"}, i)] : []), piece])
}

// Return the position behind `words` in a sentence, or 0 if they aren't there as whole words.
const endOf = (words, sentence) => {
    const letters = words.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")
    const found = new RegExp(`(?<!\\p{L})${letters}(?!\\p{L})`, "u").exec(sentence)
    return found && words ? found.index + words.length : 0
}

const isPoint = point => Array.isArray(point) && point.length == 2 && point.every(part => part >= 0 && part <= 1)

// Create an SVG element.
const draw = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag)
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
    return node
}

// Return the name of a file without its folders and its extension.
const nameOf = path => path.replace(/^.*[/\\]|\.[^.]*$/g, "")
