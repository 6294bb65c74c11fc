// Put an answer into words, like bears/model/wording.py. That module also gives the sentences in `words`.
// tests/answers.json has test cases for both files.

import {GROUP, largest, NONE, percent, SURE, UNSURE} from "../answer.js"

// Return {verdict, group, rows}. `group` has the classes of the group, if the answer is a group. `rows` are the
// [label, probability] pairs to show. `probs` are in the order of `classes`, and `earned` is the highest probability to
// show.
export const describe = ({classes, words, earned}, {probs, certainty}) => {
    const likeliest = classes[largest(probs)]
    const group = certainty == GROUP ? words.group[likeliest] : null
    const isMember = label => group?.classes.includes(label)
    const whole = classes.reduce((sum, label, i) => (isMember(label) ? sum + probs[i] : sum), 0)
    const most = Math.min(earned, whole)
    const shown = (label, prob) => (isMember(label) ? (prob * most) / whole : Math.min(earned, prob))
    const rows = classes.map((label, i) => [label, shown(label, probs[i])])
    if (group) rows.unshift([group.name, most])
    rows.sort((a, b) => b[1] - a[1])
    const [first, second] = probs.filter((_, i) => isMember(classes[i])).sort((a, b) => b - a)
    const verdicts = {
        [NONE]: () => words.none,
        [UNSURE]: () => words.unsure[likeliest],
        [GROUP]: () => group.verdicts[first >= words.leaning * second ? 1 : 0],
        [SURE]: () => words.sure[likeliest].join(percent(Math.max(...probs), earned)),
    }
    return {verdict: verdicts[certainty](), group: group?.classes ?? [], rows}
}
