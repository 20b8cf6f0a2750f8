"""What a pretrained encoder is worth: classifiers on its embeddings, beside others, with few labels."""
