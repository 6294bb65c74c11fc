// Ask "Is that right?" below an answer, if the host wants feedback. bears/app/feedback.py stores the feedback.

import {NONE, SURE} from "./answer.js"
import {shrink} from "./pictures.js"
import {ask} from "./server.js"
import {isUnreachable, make} from "./tab.js"

const FAILED = "Your feedback did not arrive."

// Return a copy of `backend` that also shows a form for feedback in the tab's `element` after each answer.
export const withFeedback = (element, words, backend) => {
    const form = new Form(words)
    const predict = async (file, ...rest) => {
        // Add the form only now, after the tab has found its own parts in the element. The style sheet hides the form
        // until there is an answer.
        if (!form.element.isConnected) element.querySelector(".feedback").replaceWith(form.element)
        form.offer(file)
        const answer = await backend.predict(file, ...rest)
        if (form.file == file) form.leaveOut(answer)
        return answer
    }
    return {...backend, predict}
}

class Form {
    // `labels` are all classes, and the label for a photo of something else. `names` has names to show for some labels.
    // `yes` is the label for a right answer, and `unknown` the label for "I don't know". `keeper` says who keeps the photo.
    constructor({labels, names, unknown, yes, keeper}) {
        const button = (textContent, onclick, value) => make("button", {type: "button", textContent, onclick, value})
        this.keep = make("input", {type: "checkbox"})
        this.labels = labels
        const others = [...labels, unknown].map(label => button(names[label] ?? label, () => this.send(label), label))
        this.others = make(
            "div",
            {className: "others", role: "group", ariaLabel: "What does the photo show?"},
            ...others,
        )
        this.no = button("No", () => this.askForMore())
        this.buttons = make(
            "div",
            {className: "yes-no"},
            button("Yes", () => this.send(yes)),
            this.no,
        )
        const allow = "Keep this photo so the model can learn"
        this.question = make(
            "div",
            {className: "question"},
            make("p", {className: "is-right", textContent: "Is that right?"}),
            this.buttons,
            this.others,
            make("label", {}, this.keep, make("span", {}, allow, make("small", {textContent: keeper}))),
        )
        this.thanks = make("p", {role: "status"})
        this.undo = button("Undo", () => this.takeBack())
        this.element = make("div", {className: "feedback"}, this.question, this.thanks, this.undo)
    }

    // Ask about the answer for a photo. At first, the box is never ticked, even if the visitor ticked it for another photo.
    offer(file) {
        this.file = file
        this.question.hidden = this.keep.checked = false
        this.others.hidden = this.undo.hidden = true
        this.no.ariaExpanded = "false"
        this.thanks.textContent = ""
    }

    // Hide the button of the answer, which a visitor who says "No" won't choose. If the server did not give the answer, hide
    // the question, since "Yes" means the server's answer.
    leaveOut({certainty, rows, note}) {
        this.question.hidden = Boolean(note)
        const answers = {[NONE]: this.labels.at(-1), [SURE]: rows[0][0]}
        for (const button of this.others.children) button.hidden = button.value == answers[certainty]
    }

    askForMore() {
        this.others.hidden = !this.others.hidden
        this.no.ariaExpanded = String(!this.others.hidden)
    }

    async send(label) {
        const photo = await shrink(this.file)
        await this.tell(() => ask("feedback", photo, AbortSignal.timeout(60000), null, label, this.keep.checked))
    }

    async takeBack() {
        await this.tell(() => ask("undo_feedback", null, AbortSignal.timeout(60000), null, this.id))
    }

    // Send feedback, and show the app's reply, with "Undo" if possible. If sending fails, keep the question.
    async tell(send) {
        const {file} = this,
            pressed = [...this.element.querySelectorAll("button")]
        for (const button of pressed) button.disabled = true
        this.thanks.textContent = "Sending…"
        try {
            const [{id, says}] = await send()
            if (file != this.file) return // another photo was chosen meanwhile
            this.id = id
            this.question.hidden = true
            this.thanks.textContent = says
            this.undo.hidden = !id
            if (id) this.undo.focus({preventScroll: true})
        } catch (error) {
            const sentence = isUnreachable(error) ? "" : error.message
            if (file == this.file) this.thanks.textContent = `${FAILED} ${sentence}`.trim()
        } finally {
            for (const button of pressed) button.disabled = false
        }
    }
}
