"""Test how movement before a camera is found and joined into tracks."""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from bears.watch.motion import Movement, Tracks, alike, apart, boxes_of
from bears.watch.schedule import SELDOM
from test_watch import RATE, WIDTH, meadow, noisy, walk


def boxes(pictures, rate=RATE):
    movement = Movement()
    return [movement.boxes(picture, n / rate) for n, picture in enumerate(pictures)]


def test_nothing_moves_in_a_still_scene_with_noise():
    assert boxes(noisy(meadow(), n) for n in range(40)) == [[]] * 40


def test_what_moves_is_found_where_it_is():
    found = boxes(frame.picture for frame in walk("grizzly"))
    [(x, y, width, height)] = found[4 * RATE]
    assert abs(x - 2 * RATE * 15) < 40 and abs(y - 100) < 30 and abs(width - 230) < 60 and abs(height - 200) < 40


def test_what_moves_in_an_ignored_part_is_not_found():
    pictures = [frame.picture for frame in walk("grizzly")]
    movement = Movement([(0, 0, 1, 0.5), (0, 0.5, 1, 0.5)])
    assert not any(movement.boxes(picture, n / RATE) for n, picture in enumerate(pictures))
    movement, found = Movement([(0, 0, 0.5, 1)]), []
    for n, picture in enumerate(pictures):
        found += movement.boxes(picture, n / RATE)
    assert found and min(x for x, *_ in found) >= WIDTH / 2 - 16


def test_light_that_changes_where_it_is_ignored_changes_nothing_else():
    lit, movement = meadow(), Movement([(0, 0, 0.6, 1)])
    lit[:, : WIDTH // 2] = 255 - lit[:, : WIDTH // 2]
    assert [movement.boxes(noisy(meadow() if n < 20 else lit, n), n / RATE) for n in range(30)] == [[]] * 30


def test_a_camera_that_shakes_moves_nothing():
    scene, rng = meadow(), np.random.default_rng(2)
    shaken = [np.roll(scene, rng.integers(-8, 9, 2), (0, 1)) for _ in range(60)]
    assert sum(map(len, boxes(noisy(picture, n) for n, picture in enumerate([scene] * 20 + shaken)))) < 6


def test_when_the_light_goes_out_the_background_is_learnt_again():
    dark = meadow() // 4
    found = boxes(noisy(meadow() if n < 20 else dark, n) for n in range(40))
    assert found[20] is None and found[21:] == [[]] * 19


def test_the_background_is_learnt_quickly_at_first_and_then_by_the_clock():
    movement, rates, picture = Movement(), [], np.zeros((18, 32, 3), np.uint8)

    def apply(picture, learningRate):
        rates.append(learningRate)
        return picture[..., 0]

    movement.background = SimpleNamespace(apply=apply)
    for seconds in (*range(11), 15, 14):  # a step counts for at most 2 seconds, and the clock may go back
        movement.mask(picture, seconds)
    assert rates == pytest.approx([1] + [1 / 25] * 9 + [1 - math.exp(-1 / 120), 1 - math.exp(-2 / 120), 0])


def test_light_that_drifts_moves_nothing():
    assert not any(boxes(noisy(cv2.convertScaleAbs(meadow(), alpha=1 - n / 300), n) for n in range(100)))


def test_a_still_track_is_dropped_after_half_a_minute_unless_a_bear_is_seen_there():
    tracks = Tracks()
    tracks.join([(0, 0, 50, 50), (300, 0, 50, 50)], 0)
    bear = tracks.tracks[1]
    tracks.forget(0, lambda track: track is bear)
    tracks.forget(29, lambda track: track is bear)
    assert len(tracks.tracks) == 2
    tracks.forget(30, lambda track: track is bear)
    assert tracks.tracks == [bear]
    tracks.forget(599, lambda track: track is bear)
    assert tracks.tracks == [bear]
    tracks.forget(600, lambda track: track is bear)
    assert tracks.tracks == []


A = (0, 0, 10, 20)


@pytest.mark.parametrize(
    "box, distance, is_alike",
    [
        (A, 0, True),
        ((5, 0, 10, 20), 0.25, True),
        ((0, 30, 10, 20), 1.5, True),
        ((0, 0, 10, 40), 0.5, True),  # twice as long
        ((0, -10, 10, 41), 21 / 41, False),
        ((0, 5, 10, 10), 0.5, True),
        ((0, 5, 9, 9), 0.55, False),
        ((0, 10, 0, 0), 1, False),
    ],
)
def test_how_far_boxes_are_apart_and_whether_their_sizes_are_alike(box, distance, is_alike):
    assert apart(A, box) == apart(box, A) == pytest.approx(distance)
    assert alike(A, box) == alike(box, A) == is_alike
    lying, other = ((y, x, height, width) for x, y, width, height in (A, box))
    assert apart(lying, other) == apart(other, lying) == pytest.approx(distance)
    assert alike(lying, other) == alike(other, lying) == is_alike


def test_boxes_without_a_size_are_apart_by_their_pixels():
    assert apart((0, 0, 0, 0), (2, 0, 0, 0)) == 2 and alike((0, 0, 1, 1), (0, 0, 0, 0))


def square(x, side=100):
    return (x, 0, side, side)


@pytest.mark.parametrize(
    "steps, box, goes_on",
    [
        ([0], (0.2, square(119)), True),  # 1 times its side at once, and 1 more for each second,
        ([0], (0.2, square(120)), False),
        ([0, 1, 2, 3, 3.8], (4, square(199)), True),  # but for at most one second while the model is quick
        ([0, 1, 2, 3, 3.8], (4, square(200)), False),
        ([0], (5, square(599)), True),  # or for all of them if the model is slow,
        ([0], (5, square(600)), False),
        ([0], (1, (40, 40, 30, 30)), True),
        ([0], (1.1, (40, 40, 30, 30)), False),  # if the size is similar
        ([0, 7], (2, square(99)), True),  # the clock went back
        ([0, 7], (0, square(100)), False),
    ],
)
def test_a_track_goes_on_in_a_box_that_is_near_enough(steps, box, goes_on):
    tracks, (seconds, there) = Tracks(), box
    for n, t in enumerate(steps):
        tracks.join([] if n else [square(0)], t)
    tracks.join([there], seconds)
    first, *new = tracks.tracks
    assert (first.number, first.box, first.seen) == (1, *((there, seconds) if goes_on else (square(0), 0)))
    assert [(t.number, t.box, t.seen, t.looked) for t in new] == [(2, there, seconds, seconds - SELDOM)] * (not goes_on)


def test_the_nearest_pair_is_joined_first_and_nobody_twice():
    tracks = Tracks()
    tracks.join([square(0), square(100)], 0)
    tracks.join([square(90), square(150)], 0.2)
    assert [track.box[0] for track in tracks.tracks] == [0, 90, 150]
    tracks.join([square(95)], 0.4)
    assert [track.box[0] for track in tracks.tracks] == [0, 95, 150]


def test_a_track_that_moves_half_its_side_is_classified_again():
    tracks = Tracks()
    tracks.join([square(0)], 0)
    [track] = tracks.tracks
    track.looked_at, track.nothing = square(0), 3
    tracks.join([square(50)], 0.2)
    assert track.nothing == 3
    tracks.join([square(51)], 0.4)
    assert track.nothing == 0


def test_of_too_many_tracks_those_stay_that_score_most_or_were_seen_last():
    tracks = Tracks()
    for n in range(18):
        tracks.join([square(1000 * n)], n / 9)
    tracks.tracks[0].score = 0.5
    tracks.forget(2, lambda track: False)
    assert [track.number for track in tracks.tracks] == [*range(4, 19), 1]
    tracks.forget(0.5, lambda track: False)  # the clock went back, so tracks seen later than now are dropped
    assert [track.number for track in tracks.tracks] == [4, 5, 1]


def mask_of(*rectangles):
    mask = np.zeros((180, 320), np.uint8)
    for x, y, width, height in rectangles:
        mask[y : y + height, x : x + width] = 255
    return mask


def test_the_eight_largest_things_in_a_mask_are_boxes():
    things = [(60 * (n % 5), 40 + 80 * (n // 5), 14 + n, 5) for n in range(10)]
    assert boxes_of(mask_of(*things)) == [list(thing) for thing in reversed(things[2:])]
    assert boxes_of(mask_of((50, 50, 14, 5), (150, 50, 23, 3))) == [[50, 50, 14, 5]]  # 69 pixels are too few
    assert boxes_of(mask_of((50, 50, 10, 20), (72, 50, 10, 20))) == [[50, 50, 32, 20]]  # 12 pixels apart
    assert len(boxes_of(mask_of((50, 50, 10, 20), (73, 50, 10, 20)))) == 2
    assert boxes_of(mask_of()) == []
