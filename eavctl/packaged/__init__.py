"""Models that come with eavctl: their files, a card of each, and the choice between them."""
