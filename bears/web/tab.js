// What the photo tab and the camera tab share. Each has an `element` with parts, and a back end that answers: server.js, or
// offline/backend.js where there is no server.

export const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds))

// Return a new element.
export const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties)
    node.append(...children)
    return node
}

// Whether an Error says that the back end cannot be reached.
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

    // Return the sentence about an Error of the back end.
    explain(error) {
        return isUnreachable(error) ? this.backend.UNREACHABLE : error.message
    }
}
