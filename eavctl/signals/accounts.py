"""Names in what a feature set reports of a row beside its features."""

PEOPLE = "people"  # faces found together
FIT = "fit"  # how well the face that is followed is the one that was wanted, 0 to 1
