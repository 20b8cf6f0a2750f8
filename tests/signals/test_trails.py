"""Which of several faces is followed: films whose faces a detector knows, told apart by their grey."""

import numpy as np
import pytest

from eavctl.errors import SignalError
from eavctl.signals import faces
from eavctl.signals.faces import choosing_once, follow
from eavctl.signals.mtcnn import Faces
from eavctl.signals.pictures import cut_out

SIZE = (120, 400)
GREYS = {"a": 60, "b": 120, "c": 180, "d": 240}


def box(x, y=60, side=30):
    return np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], float)


class Film:
    """Frames with a grey square for each face, and the detector and choosers that know them.

    A frame is a list of a name and a box; later ones hide earlier ones.
    """

    def __init__(self, *frames, seed=0):
        self.shown, self.searched = [dict(frame) for frame in frames], []
        self.pictures = []
        for frame in self.shown:
            picture = np.zeros((*SIZE, 3), np.uint8)
            for name, (left, top, right, bottom) in frame.items():
                picture[int(top) : int(bottom), int(left) : int(right)] = GREYS[name]
            self.pictures.append(picture)
        self._rng = np.random.default_rng(seed)

    def number(self, picture):
        return next(i for i, each in enumerate(self.pictures) if each is picture)

    def find(self, picture, near=None):
        """All faces, in an order that says nothing."""
        self.searched.append(near)
        there = list(self.shown[self.number(picture)].values())
        order = self._rng.permutation(len(there))
        boxes = np.array([there[i] for i in order], float).reshape(-1, 4)
        return Faces(boxes, np.ones(len(boxes)), np.zeros((len(boxes), 5, 2)))

    def liking(self, **fits):
        """A chooser that knows the faces by their grey, as a network might, and not by their place."""
        by_grey = {GREYS[name]: fit for name, fit in fits.items()}

        def choose(picture, found):
            middles = ((found.boxes[:, :2] + found.boxes[:, 2:]) / 2).astype(int)
            return np.array([by_grey.get(int(picture[y, x, 0]), 0.0) for x, y in middles])

        return choose

    def follow(self, choose, **settings):
        track = follow(self.pictures, self.find, 8, spread=0.5, choose=choose, **settings)
        return track, "".join(self.name_of(crop) for crop in track.crops)

    @staticmethod
    def name_of(crop):
        return {grey: name for name, grey in GREYS.items()}.get(int(crop[4, 4, 0]), "?")


@pytest.mark.parametrize("wanted", "abc")
def test_the_face_that_fits_is_followed_and_not_the_largest(wanted):
    frames = [[("a", box(60, side=30)), ("b", box(200, side=60)), ("c", box(340 - 2 * i))] for i in range(6)]
    film = Film(*frames)
    track, names = film.follow(film.liking(**{wanted: 1.0}))
    assert names == wanted * 6
    assert track.share == 1
    assert track.n_people == 3
    assert film.searched == [None] * 6  # whole, for near one face no other would be found


def test_the_fits_of_all_frames_count_together():
    """One frame may be misread, as where a woman looks away: the mean decides."""
    film = Film(*[[("a", box(60)), ("b", box(200))]] * 5)
    verdicts = iter([(0, 1), (0.6, 0.5), (0.6, 0.5), (0.6, 0.5), (0.6, 0.5)])  # b 3.0 in sum, a 2.4

    def by_place(picture, found):
        left, right = next(verdicts)
        return np.where(found.boxes[:, 0] < 100, left, right)

    assert film.follow(by_place)[1] == "bbbbb"


def test_a_face_that_leaves_and_comes_back_keeps_its_trail():
    here, beside = ("a", box(60)), ("b", box(200))
    film = Film([here, beside], [here, beside], [beside], [beside], [("a", box(70)), beside], [here, beside])
    track, names = film.follow(film.liking(a=1.0))
    assert names == "aaaaaa"  # the last crop is repeated
    assert track.is_found.tolist() == [True, True, False, False, True, True]
    assert track.n_people == 2


def test_a_frame_in_which_the_face_is_missed_shows_no_other():
    beside = ("b", box(100))
    film = Film(*[[("a", box(60)), beside] if i != 3 else [beside] for i in range(6)])
    track, names = film.follow(film.liking(a=1.0, b=0.9))
    assert names == "aaaaaa"
    assert track.is_found.tolist() == [True, True, True, False, True, True]
    assert film.follow(film.liking(b=1.0, a=0.9))[0].share == 1


@pytest.mark.parametrize("wanted", "ab")
def test_a_person_walks_across_in_front_of_another(wanted):
    """At the middle of the way the other's face is hidden, and where the two meet one is found."""
    walk = [box(x) for x in range(40, 361, 40)]
    still = box(200)
    film = Film(*[[("a", here)] if here[0] == still[0] else [("b", still), ("a", here)] for here in walk])
    track, names = film.follow(film.liking(**{wanted: 1.0}))
    hidden = 4
    assert set(names[:hidden] + names[hidden + 1 :]) == {wanted}
    assert track.is_found[[i for i in range(9) if i != hidden]].all()


def test_a_walker_does_not_become_one_who_has_left():
    """What was once found at a place is no reason to leave a trail that goes on."""
    walk = [("a", box(x)) for x in range(40, 361, 40)]
    film = Film(*[[here, ("c", box(240))] if i == 1 else [here] for i, here in enumerate(walk)])
    assert film.follow(film.liking(a=1.0))[1] == "a" * 9


def test_a_swap_is_none():
    """Two faces that come nearer and part again, one above the other."""
    xs = [*range(60, 181, 30), *range(180, 59, -30)]
    film = Film(*[[("a", box(x, 35)), ("b", box(240 - x, 85))] for x in xs])
    for wanted in "ab":
        assert set(film.follow(film.liking(**{wanted: 1.0}))[1]) == {wanted}


def test_a_far_face_is_another_person():
    film = Film(*[[("a", box(40))]] * 4, *[[("b", box(340))]] * 4)
    for wanted in "ab":
        track, names = film.follow(film.liking(**{wanted: 1.0}))
        assert set(names) == {wanted}
        assert track.share == 0.5


def test_what_is_seen_in_a_few_frames_only_is_not_chosen():
    film = Film(*[[("a", box(60))] + [("d", box(300))] * (i == 2) for i in range(9)])
    track, names = film.follow(film.liking(d=1.0, a=0.1))
    assert names == "a" * 9
    assert track.n_people == 1
    often = Film(*[[("a", box(60))] + [("d", box(300))] * (i > 5) for i in range(9)])
    assert set(often.follow(often.liking(d=1.0, a=0.1))[1]) == {"d"}


def random_film(seed, n_frames=12):
    """Three people who wander in lanes of their own, each missed now and then."""
    rng = np.random.default_rng(seed)
    lanes = {"a": 25, "b": 60, "c": 95}
    places = {name: rng.uniform(60, 340) + np.cumsum(rng.uniform(-12, 12, n_frames)) for name in lanes}
    return Film(
        *[
            [
                (name, box(places[name][i], y, 20))
                for name, y in lanes.items()
                if i == 0 or rng.random() > 0.15
            ]
            for i in range(n_frames)
        ],
        seed=seed,
    )


@pytest.mark.parametrize("seed", range(20))
def test_wandering_people_are_told_apart(seed):
    for wanted in "abc":
        film = random_film(seed)
        track, names = film.follow(film.liking(**{wanted: 1.0}))
        assert set(names) == {wanted}
        assert track.is_found.tolist() == [wanted in frame for frame in film.shown]


def test_repeated_frames_are_searched_and_judged_once():
    film = Film([("a", box(60)), ("b", box(200))], [("b", box(200))])
    judged = []
    film.pictures = [film.pictures[0]] * 3 + [film.pictures[1]] * 2
    film.shown = [film.shown[0]] * 3 + [film.shown[1]] * 2
    liking = film.liking(a=1.0)
    track, _ = film.follow(lambda *given: judged.append(1) or liking(*given))
    assert (len(film.searched), len(judged)) == (2, 2)
    assert track.is_found.tolist() == [True] * 3 + [False] * 2


@pytest.mark.parametrize("fits", [[np.nan, 1.0], [np.inf, 1.0], [1.0], [[1.0, 2.0]]])
def test_fits_that_are_no_numbers_are_an_error(fits):
    film = Film([("a", box(60)), ("b", box(200))])
    with pytest.raises(SignalError):
        film.follow(lambda picture, found: np.array(fits))


def test_no_face_at_all_and_none_to_judge():
    with pytest.raises(SignalError, match="no face"):
        Film([], []).follow(lambda *_: pytest.fail("there is nothing to judge"))
    track, names = (film := Film([], [("a", box(60))], [])).follow(film.liking(a=1.0))
    assert names == "aaa"
    assert track.is_found.tolist() == [False, True, False]


def test_people_are_counted_where_frames_are_searched_whole():
    """Without a chooser those are the first, and each after one without a face; the others add no search."""
    three, one = [("a", box(60)), ("b", box(200)), ("c", box(340))], [("a", box(60))]
    film = Film([], three, three, three)
    assert film.follow(None)[0].n_people == 3
    assert [near is None for near in film.searched] == [True, True, False, False]
    assert Film(one, [], three, one).follow(None)[0].n_people == 2  # between 1 and 3
    assert Film(one, one).follow(None)[0].n_people == 1


def follow_by_plain_loop(frames, find, side, spread):
    """The largest face, frame by frame, as it was followed before faces could be chosen."""
    crops, boxes, source, is_found, before = [], [], [], [], None
    for frame in frames:
        if frame is not before:
            before, found = frame, find(frame, boxes[-1] if is_found and is_found[-1] else None)
            if len(found):
                chosen = faces._same_person(found, boxes[-1]) if boxes else faces._largest(found)
                boxes.append(found.boxes[chosen])
                crops.append(cut_out(frame, faces.square(boxes[-1], spread), (side, side)))
        is_found.append(len(found) > 0)
        source.append(len(crops) - 1)
    order = np.maximum(source, 0)
    return np.array(crops)[order], np.array(boxes)[order], np.array(is_found)


@pytest.mark.parametrize("seed", range(20))
def test_without_a_chooser_the_largest_is_followed_bit_for_bit_as_before(seed):
    one, other = random_film(seed), random_film(seed)
    rng = np.random.default_rng(seed)
    frames = np.repeat(np.arange(12), rng.integers(1, 4, 12))
    expected = follow_by_plain_loop([other.pictures[i] for i in frames], other.find, 8, 1.25)
    track = follow([one.pictures[i] for i in frames], one.find, 8)
    for ours, theirs in zip((track.crops, track.boxes, track.is_found), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [n is None or n.tolist() for n in one.searched] == [
        n is None or n.tolist() for n in other.searched
    ]


def test_a_picture_that_stays_in_memory_is_judged_once_for_the_same_faces():
    judged = []
    choose = choosing_once(lambda picture, found: judged.append(len(found)) or np.ones(len(found)))
    picture = np.zeros((8, 8, 3), np.uint8)
    one, two = (Faces(np.ones((n, 4)), np.ones(n), np.zeros((n, 5, 2))) for n in (1, 2))
    picture.flags.writeable = False
    for found in (one, two, one, two):
        assert len(choose(picture, found)) == len(found)
    assert judged == [1, 2]
