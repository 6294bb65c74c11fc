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
