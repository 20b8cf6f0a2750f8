"""Find in a picture what a phrase describes: a box and a mask."""
