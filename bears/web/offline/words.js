// Put an answer into words, like bears/model/wording.py. `words` are from there. tests/answers.json has test cases for
// both files.

import {GROUP, largest, NONE, percent, SURE, UNSURE} from "../answer.js"

// Return {verdict, group, rows}. `group` has the classes of the group, if the answer is a group. `rows` are the
// [label, probability] pairs to show. `probs` are in the order of `classes`, and `earned` is the highest probability to
// show.
export const describe = ({classes, words, earned}, {probs, certainty}) => {
    const likeliest = classes[largest(probs)]
    const group = certainty == GROUP ? words.group[likeliest] : null
    const rows = classes.map((label, i) => [label, Math.min(earned, probs[i])])
    if (group) {
        const members = rows.filter(([label]) => group.classes.includes(label))
        const whole = members.reduce((sum, [label]) => sum + probs[classes.indexOf(label)], 0)
        const most = Math.min(earned, whole)
        for (const row of members) row[1] = (probs[classes.indexOf(row[0])] * most) / whole
        rows.unshift([group.name, most])
    }
    rows.sort((a, b) => b[1] - a[1])
    const verdicts = {
        [NONE]: () => words.none,
        [UNSURE]: () => words.unsure[likeliest],
        [GROUP]: () => group.verdict,
        [SURE]: () => words.sure[likeliest].join(percent(Math.max(...probs), earned)),
    }
    return {verdict: verdicts[certainty](), group: group?.classes ?? [], rows}
}
