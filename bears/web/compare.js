// Say how to check an answer: the signs of each class in question, next to its example. A tap on an example shows it side by
// side with the visitor's photo.

import {make} from "./tab.js"

export class Compare {
    // `element` contains page.html. `props` and `backend` are those of the Photo tab, and `photo` is the <img> of the photo.
    constructor(element, {examples, hints = {}}, backend, photo) {
        this.list = element.querySelector(".check")
        this.dialog = element.querySelector(".compare")
        this.photo = photo
        const signs = label => hints?.[label]?.[label] ?? ""
        this.examples = examples.map(([path, name]) => {
            const label = nameOf(path)
            return {label, name, src: new URL(backend.addressOf(path), document.baseURI).href, signs: signs(label)}
        })
        this.hints = hints ?? {}
        this.dialog.querySelector(".close").addEventListener("click", () => this.dialog.close())
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

    createButton(example) {
        const image = make("img", {src: example.src, alt: "", crossOrigin: "anonymous"})
        const button = make("button", {ariaLabel: `Compare with the example: ${example.name}`}, image)
        button.addEventListener("click", () => this.open(example))
        return button
    }

    open(example) {
        const find = name => this.dialog.querySelector(name)
        find(".mine").src = this.photo.src
        find(".other").src = example.src
        find(".name").textContent = `Example: ${example.name}`
        find(".signs").textContent = example.signs
        const choices = this.examples.filter(({signs}) => signs)
        const buttons = choices.map(each =>
            Object.assign(make("button", {ariaPressed: String(each == example)}, each.name), {
                onclick: () => this.open(each),
            }),
        )
        find(".choices").replaceChildren(...buttons)
        if (!this.dialog.open) this.dialog.showModal()
        else find(".choices [aria-pressed=true]").focus()
    }
}

// Return the name of a file without its folders and its extension.
const nameOf = path => path.replace(/^.*[/\\]|\.[^.]*$/g, "")
