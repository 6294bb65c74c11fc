// Code that the Photo tab and the Camera tab share. Each tab has an `element`, and a back end that classifies photos:
// server.js in the app, or offline/backend.js in the offline version.

export const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds))

// Create an element with properties and children.
export const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties)
    node.append(...children)
    return node
}

// Store a value in this browser until the next visit, if the browser allows it.
export const keep = (name, value) => {
    try {
        localStorage.setItem(name, JSON.stringify(value))
    } catch {
        // This can fail in a private window, or in a frame of another site.
    }
}

// Return the value that was stored under a name, or null.
export const kept = name => {
    try {
        return JSON.parse(localStorage.getItem(name))
    } catch {
        return null
    }
}

// Return whether an Error means that the back end can't be reached.
export const isUnreachable = error => error instanceof TypeError || error.name == "TimeoutError"

export class Tab {
    constructor(element, props, backend) {
        Object.assign(this, {element, props, backend})
    }

    find(name) {
        return this.element.querySelector(name)
    }

    on(event, name, action) {
        this.find(name).addEventListener(event, action)
    }

    // Return the sentence to show for an Error of the back end.
    explain(error) {
        return isUnreachable(error) ? this.backend.UNREACHABLE : error.message
    }
}
