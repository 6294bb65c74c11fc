"""Settings of the shipped model of the bears, for `train.py` without --data."""

from pathlib import Path

PHOTOS = Path(__file__).with_name("photos.csv")  # where each photo comes from
EXCLUDED = Path(__file__).with_name("excluded.csv")  # photos that are not used
SUBJECT = "bear"
ALARM = ["black", "grizzly"]  # classes that raise an alarm
GROUPS = {"bear": ["black", "grizzly"]}  # classes that are hard to tell apart in a bad photo
HINTS = {  # as wildlife agencies tell the bears apart (MODEL_CARD.md)
    "black": "A black bear has a high rump, a straight profile and tall ears.",
    "grizzly": "A grizzly has a shoulder hump, a dished face and short ears.",
    "teddy": "A teddy bear has seams, a sewn nose and no claws.",
}
MARKS = {  # where the signs of HINTS are in examples/, as [x, y] in fractions of the picture
    "black": {"high rump": [0.64, 0.17], "straight profile": [0.15, 0.41], "tall ears": [0.26, 0.25]},
    "grizzly": {"shoulder hump": [0.57, 0.15], "dished face": [0.77, 0.46], "short ears": [0.66, 0.29]},
    "teddy": {"seams": [0.33, 0.35], "sewn nose": [0.58, 0.29], "no claws": [0.82, 0.51]},
}
