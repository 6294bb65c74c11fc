// The kinds of answers, as bears/model/answers.py has them, and how their figures are shown.

export const NONE = "none"
export const UNSURE = "unsure"
export const GROUP = "group"
export const SURE = "sure"

// Return the position of the largest of some numbers, the first of equal ones.
export const largest = values => values.reduce((best, value, i) => (value > values[best] ? i : best), 0)

// Return `99%` for 0.998, as `percent` in bears/model/wording.py does; tests/answers.json has cases for both.
export const percent = (prob, earned = 1) => `${Math.floor(100 * Math.min(0.99, earned, prob))}%`
