"""Choose the example that the app shows at the start, and classify it."""

from collections.abc import Callable, Iterable

from bears.model.answers import SURE
from bears.model.photo import as_jpeg
from bears.model.wording import headline, shown_probs
from PIL import Image

LONGEST = 640  # pixels of the heatmap's longer side


def answer_first(predict: Callable, examples: Iterable[tuple], facts: dict) -> dict:
    """Return the answer that bears/web/page.js shows at the start, about the first example with a sure answer.

    If no answer is sure, return the answer about the last example. If there are no examples, return an empty dict.
    `predict(file)` returns the same as `LearnerProcess.predict`. `examples` are pairs of a URL and a file. The key
    `map` of the answer has the heatmap as JPEG, or None.
    """
    answer = {}
    for address, file in examples:
        probs, certainty, heatmap, limits, *_ = predict(file)
        rows = sorted(shown_probs(probs, certainty, limits).items(), key=lambda row: -row[1])
        verdict = headline(probs, certainty, facts, limits)
        answer = {"example": address, "rows": rows, "verdict": verdict, "certainty": certainty}
        answer["map"] = small(heatmap) if heatmap else None
        if certainty == SURE:
            break
    return answer


def small(picture: Image.Image) -> bytes:
    picture.thumbnail((LONGEST, LONGEST))
    return as_jpeg(picture, quality=80)
