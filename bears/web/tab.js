// What the photo tab and the camera tab share. Each has an `element` with parts, and a back end that answers: server.js, or
// offline/backend.js where there is no server.

export const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds))

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
        const noConnection = error instanceof TypeError || error.name == "TimeoutError"
        return noConnection ? this.backend.UNREACHABLE : error.message
    }
}
