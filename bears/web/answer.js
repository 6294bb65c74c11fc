// The kinds of answer, as in bears/model/answers.py, and how to show a probability.

export const NONE = "none"
export const UNSURE = "unsure"
export const GROUP = "group"
export const SURE = "sure"

// Return the position of the largest number. If several are equal, return the first position.
export const largest = values => values.reduce((best, value, i) => (value > values[best] ? i : best), 0)

// Return `99%` for 0.998, like `percent` in bears/model/wording.py. tests/answers.json has cases for both.
export const percent = (prob, earned = 1) => `${Math.floor(100 * Math.min(0.99, earned, prob))}%`
