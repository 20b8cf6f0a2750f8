"""Methods of self-supervised pretraining, each registered under ``pretraining methods``.

The defaults are for thousands of rows. They were chosen on training images of Fashion-MNIST alone: encoder
``convnet``, pretrained on 2,115 of them, by default for 60 epochs with the default views, one seed; then a
linear probe with 5 and 20 labels a class, tested on 1,000 other training images, averaged over 40 draws of
labels. A random encoder reaches 65.1 and 74.1 %. The notes of each method give its own figures. Results
differ by a point or more from seed to seed, so these comparisons only rule out what is clearly worse.

Most matters how long the training is, and how strong the views are: from 30 to 100 epochs ``simclr`` gains
1.3 and 2.4 points; crops of 0.3 instead of 0.7 of the area, jitter of 0.8 instead of 0.4, and erased boxes
together give ``vicreg`` 1.9 and 0.6 more.
"""
