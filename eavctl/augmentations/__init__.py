"""Random views of rows for training and pretraining: of pictures, spectrograms and EEG, batch by batch."""
