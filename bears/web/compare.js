// Show how to check an answer: list the signs of each class in question, next to an example of the class. A tap on the
// example shows it side by side with the visitor's photo.

import {make} from "./tab.js"

export class Compare {
    // `element` contains page.html. `props` and `backend` are those of the Photo tab, and `photo` is the <img> of the photo.
    constructor(element, props, backend, photo) {
        this.list = element.querySelector(".check")
        this.dialog = element.querySelector(".compare")
        this.photo = photo
        this.hints = props.hints ?? {}
        this.examples = props.examples.map(([path, name]) => {
            const label = nameOf(path)
            const src = new URL(backend.addressOf(path), document.baseURI).href
            const choice = make("button", {onclick: () => this.choose(label)}, name)
            return {label, name, src, choice, signs: this.hints[label]?.[label]}
        })
        this.find(".choices").append(...this.examples.filter(({signs}) => signs).map(({choice}) => choice))
        this.find(".close").addEventListener("click", () => this.dialog.close())
    }

    find(name) {
        return this.dialog.querySelector(name)
    }

    // List the signs of the classes in `rows`, the first [label, probability] pairs of an answer.
    show(rows) {
        const signs = rows.flatMap(([label]) => Object.entries(this.hints[label] ?? {}))
        const items = signs.map(([label, sentence], i) => {
            const text = make("span", {}, i ? "" : make("b", {}, "Check: "), sentence)
            const example = this.examples.find(each => each.label == label && each.src != this.photo.src)
            return make("li", {}, ...(example ? [this.createButton(example)] : []), text)
        })
        this.list.replaceChildren(...items)
    }

    createButton({label, name, src}) {
        const open = () => {
            this.find(".mine").src = this.photo.src
            this.choose(label)
            this.dialog.showModal()
        }
        const image = make("img", {src, alt: "", crossOrigin: "anonymous"})
        return make("button", {ariaLabel: `Compare with the example: ${name}`, onclick: open}, image)
    }

    // Show the example of a class next to the visitor's photo.
    choose(label) {
        for (const each of this.examples) each.choice.ariaPressed = String(each.label == label)
        const {name, src, signs} = this.examples.find(each => each.label == label)
        this.find(".other").src = src
        this.find(".name").textContent = `Example: ${name}`
        this.find(".signs").textContent = signs
    }
}

// Return the name of a file without its folders and its extension.
const nameOf = path => path.replace(/^.*[/\\]|\.[^.]*$/g, "")
